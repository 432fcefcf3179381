//! The published form of each event type. Review the snapshot whenever it changes.

use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::id::CommitId;

use super::fixtures::{event, fixtures};

fn published(name: &str, json: &str) -> CloudEvent {
    let stream = match name.split('.').next() {
        Some("project" | "key") => "project/acme",
        Some("audit") => "audit/acme",
        Some("playback") => "grants/acme/2026010203/7",
        _ => "video/acme/vid_tbkj5m62dvafwldlqbvftya3f3",
    };
    let recorded_at = "2026-01-02T03:04:06.000Z".parse().unwrap();
    let new = NewCommit { id: CommitId::derived_from(&[name]), events: vec![event(json)], recorded_at };
    let head = Head { version: 6, ..Head::EMPTY };
    CloudEvent::at(&Commit::following(stream.parse().unwrap(), head, new), 0).unwrap()
}

#[test]
fn the_published_form_of_every_event_type_is_reviewed() {
    let all: Vec<CloudEvent> = fixtures()
        .iter()
        .filter(|(name, _)| !name.ends_with(".min.json"))
        .map(|(name, json)| published(name, json))
        .collect();
    insta::assert_json_snapshot!(all);
}

#[test]
fn every_published_event_can_be_parsed() {
    for (name, json) in fixtures() {
        let event = published(&name, &json);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<CloudEvent>(&text).unwrap(), event, "{name}");
        assert_eq!(event.data.is_some(), event.datacontenttype.is_some(), "{name}");
        assert_eq!((event.id.as_str(), event.streamversion), (&*format!("{}/7", stream_of(&event)), 7));
    }
}

fn stream_of(event: &CloudEvent) -> &str {
    event.id.rsplit_once('/').unwrap().0
}

#[test]
fn no_withheld_value_is_published() {
    let withheld = [
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "acme-raw",
        "acme-processed",
        "tok_",
        "arn:aws",
        "cannot be read",
    ];
    let recorded: String = fixtures().into_values().collect();
    let out: String = fixtures()
        .iter()
        .map(|(name, json)| serde_json::to_string(&published(name, json)).unwrap())
        .collect();
    for secret in withheld {
        assert!(recorded.contains(secret), "{secret} is in a fixture");
        assert!(!out.contains(secret), "{secret} is published");
    }
}
