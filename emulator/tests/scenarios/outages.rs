//! An outage of the platform, as the metric of the function `sweep` shows it.

use std::time::Duration;

use serde_json::Value;
use streamio_emulator::CloudConfig;

use crate::clips::clip;
use crate::test_cloud::TestCloud;

/// The values of the metric `OldestWait` that the function has written, in seconds.
fn oldest_waits(cloud: &TestCloud) -> Vec<f64> {
    let lines = cloud.functions().log_lines("sweep").unwrap();
    let metrics = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let metrics = metrics.filter(|line| line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Streamio");
    metrics.filter_map(|line| line["OldestWait"].as_f64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_launcher_is_a_wait_until_it_ends() {
    // Fewer sweeps than in other scenarios, which a busy machine can do.
    let sweep_every = Duration::from_secs(10);
    let cloud = TestCloud::start_with(|config| CloudConfig { sweep_every, ..config }).await;
    let video_id = cloud.upload("before.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    assert!(oldest_waits(&cloud).iter().all(|wait| *wait == 0.0), "{:?}", oldest_waits(&cloud));
    // However often the reactions and the sweep try.
    cloud.ecs().fail_placements(1_000, "Capacity is unavailable at this time");
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud
        .wait_until("the metric shows the wait", async || oldest_waits(&cloud).iter().any(|wait| *wait > 0.0))
        .await;
    let lines = cloud.functions().log_lines("sweep").unwrap();
    assert!(lines.iter().any(|line| line.contains("work waits for the platform")), "{lines:?}");
    cloud.ecs().place_again();
    cloud.wait_until_ready(&video_id, 1).await;
    let before = oldest_waits(&cloud).len();
    // The first of them may have begun before the attempt was launched.
    cloud.wait_until("two further sweeps have ended", async || oldest_waits(&cloud).len() > before + 1).await;
    assert_eq!(oldest_waits(&cloud).last(), Some(&0.0));
    cloud.finish().await;
}
