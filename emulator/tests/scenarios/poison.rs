//! Records that cannot be read: they become dead letters, and do not affect other records.

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

use crate::clips::clip;
use crate::final_state::Leftovers;
use crate::play::play;
use crate::test_cloud::TestCloud;

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_record_quarantines_its_stream_and_nothing_else() {
    let cloud = TestCloud::start().await;
    let s3_key: SourceKey = "projects/acme/poisoned.mp4".parse().unwrap();
    let poisoned = StreamId::Video(cloud.project_id.clone(), VideoId::of(&s3_key));
    let at = Timestamp::from_unix_millis(1_800_000_000_000);
    // A known event type with invalid data.
    let event = RecordedEvent {
        kind: "upload.completed".to_owned(),
        version: 1,
        at,
        data: json!({ "generation": "first" }),
        fact: None,
    };
    let commit = NewCommit { id: CommitId::derived_from(&["poison"]), events: vec![event], recorded_at: at };
    cloud.log().append(&poisoned, Expected::Exactly(0), commit).await.unwrap();
    let put = cloud.kinesis().client().put_record().stream_name(FACTS_STREAM).partition_key("poison");
    put.data(Blob::new("this is not a fact")).send().await.unwrap();

    // Other records in the same shards.
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    play(&cloud, &status).await;
    cloud
        .wait_until("the stream is quarantined", async || {
            let commits = cloud.log().read_to_end(&poisoned, 1).await.unwrap();
            commits.iter().flat_map(|commit| &commit.events).any(|event| event.kind == "stream.quarantined")
        })
        .await;
    cloud
        .wait_until("every function has kept dead letters", async || {
            let letters = cloud.dead_letters().await;
            ["intake", "react", "views"].iter().all(|function| letters.contains_key(function))
        })
        .await;
    let letters: BTreeMap<&'static str, usize> = cloud.dead_letters().await;
    assert_eq!(letters["intake"], 1, "{letters:?}");
    cloud.finish_with(Leftovers { dead_letters: letters, quarantined: vec![poisoned] }).await;
}
