//! Requests for playback URLs.

use std::sync::Arc;
use std::time::Duration;

use streamio_events::commit::NewCommit;
use streamio_events::event::{PlaybackGranted, RecordedEvent};
use streamio_events::id::{CommitId, GrantId};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::{key_hash, project_id, record_grant, source_key, tenant_at_edge};
use crate::engine::{Actor, ClockOf, SECOND};
use crate::plan::Operation;
use crate::world::World;

/// The longest time between two requests. All of a run of requests are in few of the streams of ten seconds.
const LONGEST_PAUSE: u64 = SECOND;

/// How many of the parallel streams of an interval are used, so that a stream has several grants.
const STREAMS: u8 = 2;

/// Requests `count` playback URLs, each once.
pub(super) async fn play(world: &Arc<World>, actor: &Actor, operation: &Operation, count: u32) {
    for number in 0..count {
        actor.sleep(actor.below(LONGEST_PAUSE)).await;
        world.machine.on().await;
        let edge = world.actor(ClockOf::Other, &format!("edge {} playback {number}", operation.id));
        let hash = key_hash(operation.project, 0);
        let Some(tenant) = tenant_at_edge(world, &edge, &hash) else { continue };
        if tenant.revoked || tenant.suspended {
            return;
        }
        let key = source_key(operation.project, operation.file).processed();
        let at = edge.now();
        let granted = PlaybackGranted {
            grant_id: GrantId::derived_from(&[format!("{} {number}", operation.id).as_bytes()]),
            resource: key.to_string(),
            key,
            also: Vec::new(),
            expires_at: at.plus(Duration::from_hours(1)),
            starts_at: None,
            ip: None,
            key_id: hash.key_id(),
        };
        let (stream, commit_id) = stream_of(operation, number, at);
        let events = vec![RecordedEvent::of(at, &granted)];
        let commit = NewCommit { id: commit_id.clone(), events, recorded_at: at };
        let recording = record_grant(Arc::clone(world), Arc::clone(&edge), stream.clone(), commit);
        if let Ok(Some(_)) = world.engine.spawn(edge.process, recording).await {
            world.state().oracle.grant_acknowledged(operation, &stream, &commit_id);
        }
    }
}

/// The stream of the grant with this number, and the id of its commit.
fn stream_of(operation: &Operation, number: u32, at: Timestamp) -> (StreamId, CommitId) {
    let (operation_id, number) = (operation.id.to_string(), number.to_string());
    let ids = (0_u32..)
        .map(|salt| CommitId::derived_from(&["playback", &operation_id, &number, &salt.to_string()]));
    let streams = ids.map(|id| (StreamId::grants(project_id(operation.project), at, &id), id));
    let mut few =
        streams.filter(|(stream, _)| matches!(stream, StreamId::Grants { shard, .. } if *shard < STREAMS));
    few.next().expect("there is always a next number")
}
