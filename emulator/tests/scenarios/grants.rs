//! The road of grants: queue, Kinesis, `intake`.

use futures::future::join_all;
use streamio_emulator::fault_proxy::Fault;

use crate::clip::film;
use crate::play::play;
use crate::verdict::verdict;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn refused_duplicated_and_unconfirmed_kinesis_records_become_one_grant_each() {
    let world = World::start().await;
    let proxy = world.cloud.kinesis_proxy();
    let partial = proxy.fault("PutRecords", "", 2, Fault::Partial(|index| index % 2 == 0));
    let twice = proxy.fault("PutRecords", "", 2, Fault::Twice);
    let lost = proxy.fault("PutRecords", "", 1, Fault::LoseAnswer);
    let throttled = proxy.fault("PutRecords", "", 1, Fault::Throttle);
    let names: Vec<String> = (0..20).map(|number| format!("clip-{number}.mp4")).collect();
    join_all(names.iter().map(|name| world.grant(name))).await;
    let video_id = world.upload("clip-0.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    play(&world, &status).await;
    world
        .until("every fault has happened", async || {
            // Playback grants go by the same road.
            play(&world, &status).await;
            [&partial, &twice].iter().all(|fault| fault.times() == 2) && lost.times() + throttled.times() == 2
        })
        .await;
    verdict(world).await;
}
