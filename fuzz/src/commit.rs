//! Commits as JSON, as they are stored and exported, and the events that are published of them.

use streamio_events::audit;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::RecordedEvent;

/// A commit that was read is written as the same commit, with the same hash, and every change of it changes the hash.
pub fn check(data: &[u8]) {
    if let Ok(event) = serde_json::from_slice::<RecordedEvent>(data) {
        check_event(&event);
    }
    let Ok(commit) = serde_json::from_slice::<Commit>(data) else { return };
    let hash = commit.computed_hash();
    let json = serde_json::to_string(&commit).expect("a commit is plain data");
    let again: Commit = serde_json::from_str(&json).expect("it was written");
    assert_eq!(again, commit);
    assert_eq!(again.computed_hash(), hash);
    let mut changed = commit.clone();
    changed.first ^= 1;
    assert_ne!(changed.computed_hash(), hash);

    if commit.events.is_empty() || commit.first.checked_add(commit.events.len() as u64).is_none() {
        return;
    }
    assert_eq!(commit.numbered().count(), commit.events.len());
    for published in CloudEvent::all(&commit) {
        let json = serde_json::to_string(&published).expect("an event is plain data");
        assert_eq!(serde_json::from_str::<CloudEvent>(&json).expect("it was written"), published);
        assert_eq!(published.source, format!("/projects/{}", commit.stream.project_id()));
    }
    check_chain(commit);
}

/// The body of an event that this build knows is written as an event with the same body.
fn check_event(event: &RecordedEvent) {
    if let Ok(body) = event.body() {
        let written = RecordedEvent::new(event.at, &body);
        assert_eq!(written.body().expect("it was written"), body);
    }
}

/// A commit that follows on the head of an empty stream is verified, and one whose hash was changed is not.
fn check_chain(commit: Commit) {
    let Commit { stream, id, events, recorded_at, .. } = commit;
    let empty = streamio_events::commit::Head::EMPTY;
    let sound = Commit::following(stream.clone(), empty, NewCommit { id, events, recorded_at });
    assert_eq!(audit::verify(&stream, [&sound], None).ok(), Some(sound.head()));
    let mut changed = sound;
    changed.recorded_at =
        streamio_events::timestamp::Timestamp::from_unix_millis(changed.recorded_at.unix_millis() ^ 1);
    assert!(audit::verify(&stream, [&changed], None).is_err());
}
