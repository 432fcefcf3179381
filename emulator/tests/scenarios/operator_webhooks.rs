//! The command `streamio webhook --aws` on the cloud: without an API key, with the results of the API.

use serde_json::{Value, json};

use crate::clips::clip;
use crate::operator::{Run, on_aws};
use crate::test_cloud::TestCloud;
use crate::webhooks::{Receiver, register};

/// Runs `streamio webhook` for the project `acme`.
async fn webhook(cloud: &TestCloud, arguments: &[&str]) -> Run {
    let all = [&["webhook"], arguments, &["--project", "acme", "--json"]].concat();
    Box::pin(on_aws(cloud, &all)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_and_changes_webhooks_as_the_api_does() {
    let (cloud, receiver) = (TestCloud::start().await, Receiver::start().await);
    let created = register(&cloud, &receiver, "/live").await;
    let id = created["webhookId"].as_str().unwrap();
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    cloud
        .wait_until("the deliveries are listed", async || {
            let listed = cloud.get("/webhook-deliveries?state=delivered").await;
            listed["data"].as_array().unwrap().len() == 3
        })
        .await;
    cloud.mappings().views.wait_until_caught_up().await;

    assert_eq!(webhook(&cloud, &["list"]).await.ok().json(), cloud.get("/webhooks").await);
    assert_eq!(webhook(&cloud, &["show", id]).await.ok().json(), cloud.get(&format!("/webhooks/{id}")).await);
    let deliveries = webhook(&cloud, &["deliveries", "--limit", "2"]).await.ok().json();
    assert_eq!(deliveries, cloud.get("/webhook-deliveries?limit=2").await);
    let delivery = deliveries["data"][0]["deliveryId"].as_str().unwrap();
    let shown = webhook(&cloud, &["deliveries", delivery]).await.ok().json();
    assert_eq!(shown, cloud.get(&format!("/webhook-deliveries/{delivery}")).await);

    let disabled = webhook(&cloud, &["disable", id, "--yes"]).await.ok();
    let enabled_of = |webhook: &Value| webhook["enabled"].clone();
    assert_eq!(enabled_of(&disabled.json()), false);
    assert!(disabled.stderr.contains("project acme, AWS account "), "{disabled:?}");
    assert_eq!(enabled_of(&cloud.get(&format!("/webhooks/{id}")).await), false);
    let refused = webhook(&cloud, &["replay", id, "--from", "0", "--yes"]).await;
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert_eq!(enabled_of(&webhook(&cloud, &["enable", id, "--yes"]).await.ok().json()), true);

    let before = receiver.at("/live").len();
    let replayed = webhook(&cloud, &["replay", id, "--from", "0", "--wait", "--yes"]).await.ok().json();
    assert_eq!((&replayed["reason"], &replayed["scheduled"]), (&json!("completed"), &json!(3)));
    cloud.wait_until("all have arrived again", async || receiver.at("/live").len() >= before + 3).await;
    let since = ["recover", id, "--since", "2026-01-01T00:00:00Z", "--wait", "--yes"];
    let recovered = webhook(&cloud, &since).await.ok().json();
    assert_eq!((&recovered["reason"], &recovered["scheduled"]), (&json!("completed"), &json!(0)));
    let jobs = webhook(&cloud, &["replays", id]).await.ok().json();
    assert_eq!(jobs, cloud.get(&format!("/webhooks/{id}/replays")).await);
    assert_eq!(webhook(&cloud, &["cancel-replay", id, "--yes"]).await.code, Some(3), "none is in progress");

    let removed = webhook(&cloud, &["remove", id, "--yes"]).await.ok().json();
    assert_eq!(removed, json!({ "webhookId": id, "state": "removed" }));
    assert_eq!(webhook(&cloud, &["show", id]).await.code, Some(3));
    let nobody = on_aws(&cloud, &["webhook", "list", "--project", "nobody"]).await;
    assert_eq!(nobody.code, Some(3), "{nobody:?}");
    cloud.finish().await;
}
