//! The costs of an upload and of a grant, as the model in `docs/scale.md` has them.

use std::time::Duration;

use streamio_emulator::CloudConfig;
use streamio_emulator::cloud::{LEDGER_TABLE, VIEWS_TABLE};
use streamio_events::log::EventLogExt as _;

use crate::clips::clip;
use crate::test_cloud::TestCloud;

/// How many uploads are measured, after one that is not.
const UPLOADS: usize = 4;

/// Waits, without calls that are metered, until `count` videos are ready and everything that follows is done.
async fn wait_until_ready(cloud: &TestCloud, count: usize) {
    cloud
        .wait_until("all videos are ready and projected", async || {
            let commits = cloud.log().scan_to_end().await.unwrap();
            commits.iter().flat_map(|commit| &commit.events).filter(|event| event.kind == "video.ready").count()
                == count
        })
        .await;
    cloud.mappings().intake.wait_until_caught_up().await;
    cloud.mappings().react.wait_until_caught_up().await;
    cloud.mappings().views.wait_until_caught_up().await;
    cloud.bus().wait_until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_costs_what_the_model_of_scale_states() {
    let cloud = TestCloud::start_with(|config| CloudConfig { sweep_every: Duration::from_hours(1), ..config }).await;
    cloud.upload("warm.mp4", clip()).await;
    wait_until_ready(&cloud, 1).await;
    let before = cloud.log().scan_to_end().await.unwrap().len();
    cloud.dynamo_proxy().meter_capacity();
    for number in 0..UPLOADS {
        cloud.upload(&format!("clip-{number}.mp4"), clip()).await;
        wait_until_ready(&cloud, number + 2).await;
    }
    let consumed = cloud.dynamo_proxy().consumed();
    let commits = cloud.log().scan_to_end().await.unwrap();
    for commit in &commits {
        eprintln!("{} {} {:?} {}", commit.stream, commit.first, commit.events.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), serde_json::to_string(&commit.events).unwrap().len());
    }
    eprintln!("{} commits, {consumed:#?}", commits.len() - before);
    let _ = (LEDGER_TABLE, VIEWS_TABLE);
    cloud.finish().await;
}
