//! Records that nobody can understand: they are kept for an operator, and everything else goes on.

use std::collections::BTreeMap;

use aws_sdk_kinesis::primitives::Blob;
use serde_json::json;
use streamio_emulator::cloud::FACTS_STREAM;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::id::{CommitId, VideoId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::clip::film;
use crate::play::play;
use crate::verdict::{Expected as Left, dead_letters, verdict_with};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_record_quarantines_its_stream_and_nothing_else() {
    let world = World::start().await;
    let s3_key: SourceKey = "projects/acme/poisoned.mp4".parse().unwrap();
    let poisoned = StreamId::Video(world.project_id.clone(), VideoId::of(&s3_key));
    let at = Timestamp::from_unix_millis(1_800_000_000_000);
    // A type that everybody knows, with data that is none of it.
    let event = RecordedEvent {
        kind: "upload.completed".to_owned(),
        version: 1,
        at,
        data: json!({ "generation": "first" }),
        fact: None,
    };
    let commit = NewCommit { id: CommitId::derived_from(&["poison"]), events: vec![event], recorded_at: at };
    world.cloud.log().append(&poisoned, Expected::Exactly(0), commit).await.unwrap();
    let put = world.cloud.kinesis().client().put_record().stream_name(FACTS_STREAM).partition_key("poison");
    put.data(Blob::new("this is no fact")).send().await.unwrap();

    // Others of the same shards.
    let video_id = world.upload("clip.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    play(&world, &status).await;
    world
        .until("the stream is quarantined", async || {
            let commits = world.cloud.log().read_to_end(&poisoned, 1).await.unwrap();
            commits.iter().flat_map(|commit| &commit.events).any(|event| event.kind == "stream.quarantined")
        })
        .await;
    world
        .until("every function has left its letters", async || {
            let letters = dead_letters(&world).await;
            ["intake", "react", "views"].iter().all(|function| letters.contains_key(function))
        })
        .await;
    let letters: BTreeMap<&'static str, usize> = dead_letters(&world).await;
    assert_eq!(letters["intake"], 1, "{letters:?}");
    verdict_with(world, Left { dead_letters: letters, quarantined: vec![poisoned] }).await;
}
