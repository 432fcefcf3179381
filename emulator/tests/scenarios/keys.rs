//! The replication of API keys to Workers KV, while it throttles.

use reqwest::StatusCode;
use streamio_core::ports::pending_replications::PendingReplications as _;
use streamio_emulator::cloud::NewKey;

use crate::test_cloud::{TIMEOUT, TestCloud};

async fn list_videos_with(cloud: &TestCloud, key: &NewKey) -> StatusCode {
    let request = cloud.http.get(format!("{}/videos", cloud.api()));
    request.header("x-api-key", key.api_key.reveal()).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_reaches_the_edge_although_its_store_refuses_at_first() {
    let cloud = TestCloud::start().await;
    cloud.kv().throttle(4);
    let key = cloud.create_project("other").await.unwrap();
    assert_eq!(list_videos_with(&cloud, &key).await, StatusCode::OK);
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_the_edge_store_refuses_blocks_nothing_and_is_put_later() {
    let cloud = TestCloud::start().await;
    let key = cloud.create_project("other").await.unwrap();
    assert_eq!(list_videos_with(&cloud, &key).await, StatusCode::OK);
    cloud.kv().throttle(usize::MAX);
    cloud.revoke_key(&key).await.unwrap();
    // A failing batch would be retried and would block the following ones.
    tokio::time::timeout(TIMEOUT, cloud.mappings().views.wait_until_caught_up())
        .await
        .expect("no batch is blocked");
    assert_eq!(cloud.views().pending(9).await.unwrap(), std::slice::from_ref(&key.project_id));
    cloud.kv().throttle(0);
    cloud
        .wait_until("the revoked key is refused", async || {
            list_videos_with(&cloud, &key).await == StatusCode::UNAUTHORIZED
        })
        .await;
    cloud.finish().await;
}
