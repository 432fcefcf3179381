//! Faults between the edge's queue, Kinesis and `intake`, through which grants are recorded.

use futures::future::join_all;
use streamio_emulator::fault_proxy::Fault;

use crate::clips::clip;
use crate::play::play;
use crate::test_cloud::TestCloud;

#[tokio::test(flavor = "multi_thread")]
async fn refused_duplicated_and_unconfirmed_kinesis_records_become_one_grant_each() {
    let cloud = TestCloud::start().await;
    let proxy = cloud.kinesis_proxy();
    let partial = proxy.inject("PutRecords", "", 2, Fault::Partial(|index| index % 2 == 0));
    let twice = proxy.inject("PutRecords", "", 2, Fault::Duplicate);
    let lost = proxy.inject("PutRecords", "", 1, Fault::LoseResponse);
    let throttled = proxy.inject("PutRecords", "", 1, Fault::Throttle);
    let names: Vec<String> = (0..20).map(|number| format!("clip-{number}.mp4")).collect();
    join_all(names.iter().map(|name| cloud.grant(name))).await;
    let video_id = cloud.upload("clip-0.mp4", clip()).await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    play(&cloud, &status).await;
    cloud
        .wait_until("every fault has happened", async || {
            // Playback grants are recorded through Kinesis, too.
            play(&cloud, &status).await;
            [&partial, &twice].iter().all(|fault| fault.hits() == 2) && lost.hits() + throttled.hits() == 2
        })
        .await;
    cloud.finish().await;
}
