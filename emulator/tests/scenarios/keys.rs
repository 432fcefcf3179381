//! The replication of API keys to Workers KV, while it throttles, and what a revocation ends.

use reqwest::StatusCode;
use serde_json::{Value, json};
use streamio_emulator::cloud::NewKey;
use streamio_events::log::EventLogExt as _;

use crate::clips::clip;
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
    let due = cloud.due_replications().await;
    assert!(!due.is_empty() && due.iter().all(|project_id| *project_id == key.project_id), "{due:?}");
    cloud.kv().throttle(0);
    cloud
        .wait_until("the revoked key is refused", async || {
            list_videos_with(&cloud, &key).await == StatusCode::UNAUTHORIZED
        })
        .await;
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_was_issued_to_a_key_that_is_revoked_since_uploads_nothing() {
    let cloud = TestCloud::start().await;
    let key = cloud.create_project("other").await.unwrap();
    let request = cloud.http.post(format!("{}/upload-url", cloud.api()));
    let request = request.header("x-api-key", key.api_key.reveal()).json(&json!({ "filename": "clip.mp4" }));
    let grant: Value = request.send().await.unwrap().json().await.unwrap();
    cloud.revoke_key(&key).await.unwrap();
    cloud.put_object(&grant, clip()).await;
    cloud
        .wait_until("the upload is rejected", async || {
            let commits = cloud.log().scan_to_end().await.unwrap();
            let mut events = commits.iter().flat_map(|commit| &commit.events);
            events.any(|event| {
                event.kind == "upload.rejected"
                    && event.data["error"]["code"] == "grant_revoked"
                    && event.data["grantId"] == grant["grantId"]
            })
        })
        .await;
    cloud.finish().await;
}
