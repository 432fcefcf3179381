//! An outage of the platform, as the metric of the function `sweep` shows it.

use serde_json::Value;
use streamio_emulator::fault_proxy::Fault;

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
async fn an_outage_of_the_launcher_is_a_growing_wait_that_ends_with_it() {
    let cloud = TestCloud::start().await;
    let video_id = cloud.upload("before.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    assert!(oldest_waits(&cloud).iter().all(|wait| *wait == 0.0), "{:?}", oldest_waits(&cloud));
    let outage = cloud.ecs_proxy().inject("RunTask", "", 1000, Fault::Refuse);
    let video_id = cloud.upload("clip.mp4", clip()).await;
    // The attempt is tried again after growing pauses; each time it has waited longer.
    cloud
        .wait_until("the metric grows", async || {
            let waits: Vec<f64> = oldest_waits(&cloud).into_iter().filter(|wait| *wait > 0.0).collect();
            waits.len() > 1 && waits.is_sorted() && waits.last() > waits.first()
        })
        .await;
    let lines = cloud.functions().log_lines("sweep").unwrap();
    assert!(lines.iter().any(|line| line.contains("work waits for the platform")), "{lines:?}");
    outage.cancel();
    cloud.wait_until_ready(&video_id, 1).await;
    let before = oldest_waits(&cloud).len();
    cloud.wait_until("two further sweeps have ended", async || oldest_waits(&cloud).len() > before + 1).await;
    assert_eq!(oldest_waits(&cloud).last(), Some(&0.0));
    cloud.finish().await;
}
