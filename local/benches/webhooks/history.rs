//! Messages that are scheduled in the log.

use std::path::Path;

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::id::{CommitId, GrantId, KeyId, MessageId, VideoId};
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::object_key::SourceKey;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::Round;
use streamio_events::webhook::delivery::decide::schedule as scheduled;
use streamio_events::webhook::{Message, MessageType, ScheduleCause};

use super::Project;

/// How many appends are made at a time: they share transactions.
const AT_A_TIME: usize = 256;

/// Appends `count` videos, each with a message that is due.
pub(crate) async fn schedule(log: &Path, project: &Project, count: usize) -> Result<()> {
    let log = SqliteLog::open(log)?;
    let now = Timestamp::from_unix_millis(1_767_323_045_000);
    stream::iter(0..count)
        .map(|number| append(&log, project, number, now))
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

async fn append(log: &SqliteLog, project: &Project, number: usize, now: Timestamp) -> Result<()> {
    let number = number.to_string();
    let key: SourceKey = format!("projects/{}/{number}.mp4", project.id).parse()?;
    let video_id = VideoId::of(&key);
    let data = json!({
        "grantId": GrantId::derived_from(&[number.as_bytes()]), "s3Key": key, "expiresAt": now,
        "keyId": KeyId::of_hash(&[0; 32]), "overwrite": false,
    });
    let granted = RecordedEvent { kind: "upload.granted".to_owned(), version: 1, at: now, data, fact: None };
    let commit =
        NewCommit { id: CommitId::derived_from(&[&number]), recorded_at: now, events: vec![granted] };
    log.append(&StreamId::Video(project.id.clone(), video_id.clone()), Expected::Any, commit).await?;

    let message_id = MessageId::derived_from(&[&number]);
    let body = super::client::body(&project.id, &video_id, now);
    let message = Message {
        id: message_id.clone(),
        message_type: MessageType::VideoUploaded,
        video_id: Some(video_id),
        video_version: Some(1),
        body,
    };
    let round = Round { cause: ScheduleCause::Event, at: now, deletions: vec![] };
    let commit = scheduled(&message, &project.webhook_id, round, now);
    let stream = StreamId::Delivery(project.id.clone(), project.webhook_id.clone(), message_id);
    let appended = log.append(&stream, Expected::Any, commit).await?;
    ensure!(appended.commit.first == 1, "the message is new");
    Ok(())
}
