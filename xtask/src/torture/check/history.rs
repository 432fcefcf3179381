//! What must hold for the events of all videos.

use std::collections::{BTreeMap, BTreeSet};

use super::super::file::Kind;
use super::super::record::Video;
use super::feed::Event;

/// The events that a generation of a video has once at most.
const ONCE_IN_A_GENERATION: &[&str] = &["upload.completed", "video.ready", "video.errored"];
/// The events that an attempt has once at most.
const ONCE_IN_AN_ATTEMPT: &[&str] = &["processing.dispatched", "processing.started", "processing.completed"];

/// What is wrong with the events, one sentence each. With `at_rest` all videos must be processed.
pub(in crate::torture) fn faults(
    events: &[Event],
    videos: &[Video],
    playback_grants: &[String],
    at_rest: bool,
) -> Vec<String> {
    let mut faults = repeated(events.iter().map(|event| event.id.as_str()), "the event");
    let of_kind = |kind: &'static str| events.iter().filter(move |event| event.kind == kind);
    for (kind, acknowledged) in [
        (
            "upload.granted",
            videos.iter().filter_map(|video| video.grant["grantId"].as_str()).collect::<Vec<_>>(),
        ),
        ("playback.granted", playback_grants.iter().map(String::as_str).collect()),
    ] {
        faults.extend(repeated(of_kind(kind).map(|event| event.grant.as_str()), "the grant"));
        let recorded: BTreeSet<&str> = of_kind(kind).map(|event| event.grant.as_str()).collect();
        let lost = acknowledged.iter().filter(|grant| !recorded.contains(**grant));
        faults.extend(lost.map(|grant| format!("the acknowledged grant {grant} has no {kind}")));
    }
    faults.extend(of_kind("stream.quarantined").map(|event| format!("a stream is quarantined: {event:?}")));
    let mut histories: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        histories.entry(&event.subject).or_default().push(event);
    }
    for (subject, history) in &histories {
        faults.extend(faults_of_one(history).into_iter().map(|fault| format!("{subject}: {fault}")));
    }
    for video in videos.iter().filter(|video| video.has_source() && at_rest) {
        let history = histories.get(video.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let count = |kind: &str| history.iter().filter(|event| event.kind == kind).count();
        if count("upload.completed") != 1 {
            faults.push(format!(
                "{}: {} accepted uploads instead of one",
                video.id,
                count("upload.completed")
            ));
        }
        if video.file.kind == Kind::Clip && count("video.ready") != 1 {
            faults.push(format!("{}: published {} times instead of once", video.id, count("video.ready")));
        }
        if video.file.kind == Kind::Clip && count("processing.failed") + count("video.errored") > 0 {
            faults.push(format!("{}: the processing of a clip failed", video.id));
        }
    }
    faults
}

/// The faults of one stream.
fn faults_of_one(history: &[&Event]) -> Vec<String> {
    let of =
        |kinds: &'static [&'static str]| history.iter().filter(|event| kinds.contains(&event.kind.as_str()));
    let generations =
        of(ONCE_IN_A_GENERATION).map(|event| format!("{} of generation {}", event.kind, event.generation));
    let attempts = of(ONCE_IN_AN_ATTEMPT).map(|event| format!("{} of attempt {}", event.kind, event.attempt));
    let all: Vec<String> = generations.chain(attempts).collect();
    let mut faults = repeated(all.iter().map(String::as_str), "the event");
    for (place, ready) in history.iter().enumerate().filter(|(_, event)| event.kind == "video.ready") {
        let is_same =
            |event: &&&Event| (event.generation, event.attempt) == (ready.generation, ready.attempt);
        if !history[..place].iter().filter(is_same).any(|event| event.kind == "processing.completed") {
            faults.push(format!("attempt {} was published and is not completed", ready.attempt));
        }
        let later = history[place..].iter().filter(|event| event.generation == ready.generation);
        if let Some(event) = later.into_iter().find(|event| event.kind.starts_with("processing.")) {
            faults.push(format!("{} of attempt {} after the video was ready", event.kind, event.attempt));
        }
    }
    faults
}

fn repeated<'a>(items: impl Iterator<Item = &'a str>, what: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let again: BTreeSet<&str> = items.filter(|item| !item.is_empty() && !seen.insert(*item)).collect();
    again.into_iter().map(|item| format!("{what} {item} is recorded more than once")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::file::{File, Kind};
    use super::super::super::record::Video;
    use super::super::feed::Event;
    use super::faults;
    use serde_json::json;

    fn event(kind: &str, attempt: u64) -> Event {
        let grant = if kind.ends_with(".granted") { "grt_1" } else { "" };
        Event {
            id: format!("{kind}/{attempt}"),
            kind: kind.to_owned(),
            subject: "vid_1".to_owned(),
            generation: 1,
            attempt,
            grant: grant.to_owned(),
        }
    }

    fn history() -> Vec<Event> {
        vec![
            event("upload.granted", 0),
            event("upload.completed", 0),
            event("processing.dispatched", 1),
            event("processing.started", 1),
            event("processing.interrupted", 1),
            event("processing.dispatched", 2),
            event("processing.started", 2),
            event("processing.completed", 2),
            event("video.ready", 2),
        ]
    }

    fn found(events: &[Event]) -> Vec<String> {
        let video = Video {
            id: "vid_1".to_owned(),
            key: String::new(),
            label: String::new(),
            grant: json!({ "grantId": "grt_1" }),
            file: File { kind: Kind::Clip, seed: 1, random: 1 },
            version: Some("v1".to_owned()),
            revision: None,
            is_deleted: false,
            cycle: 1,
        };
        faults(events, &[video], &[], true)
    }

    #[test]
    fn an_interrupted_attempt_and_a_published_one_are_right() {
        assert_eq!(found(&history()), [""; 0]);
    }

    #[test]
    fn every_event_that_is_lost_or_repeated_is_a_fault() {
        for place in [0, 1, 7, 8] {
            let mut events = history();
            let lost = events.remove(place);
            assert!(!found(&events).is_empty(), "without {}", lost.kind);
        }
        for place in [0, 1, 2, 3, 7, 8] {
            let mut events = history();
            let repeated = Event { id: "again".to_owned(), ..events[place].clone() };
            events.push(repeated);
            assert!(!found(&events).is_empty(), "{} twice", events[place].kind);
        }
        let mut events = history();
        events[4].kind = "processing.failed".to_owned();
        assert!(!found(&events).is_empty(), "a failed attempt of a clip");
        let late = [history(), vec![event("processing.started", 3)]].concat();
        assert!(!found(&late).is_empty(), "an attempt after the video was ready");
    }
}
