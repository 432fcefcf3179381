//! Whether a receiver got the webhooks that follow from the events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::receiver::{Message, Receiver};
use super::feed::Event;
use crate::platform::api::{Api, text_at};
use crate::platform::program::wait_for;

/// How long the platform may take to deliver everything: what was refused first is sent again after some five seconds.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The events to which exactly one message each belongs, with its type.
const EXACT: [(&str, &str); 3] = [
    ("upload.completed", "video.uploaded"),
    ("video.ready", "video.ready"),
    ("video.deleted", "video.deleted"),
];

/// Waits until the messages about all `events` have arrived, with the places of their events as the proofs state them, and no message is pending.
pub(in crate::torture) fn arrive(api: &Api, events: &[Event], receiver: &Receiver) -> Result<()> {
    let places = places_of(api, events)?;
    let faults = || {
        let messages: Vec<Message> = receiver.messages()?.into_values().collect();
        Ok::<_, anyhow::Error>(faults_of(events, &places, &messages))
    };
    let pending = || api.read("/webhook-deliveries?state=pending&limit=1");
    wait_for(
        TIMEOUT,
        || format!("webhooks are wrong: {:?}; the first pending delivery: {:?}", faults(), pending()),
        || {
            let is_at_rest = pending()?["data"].as_array().is_some_and(Vec::is_empty);
            Ok((is_at_rest && faults()?.is_empty()).then_some(()))
        },
    )
}

/// The places of the events in the feed, by their ids: of all events of the videos with messages.
fn places_of(api: &Api, events: &[Event]) -> Result<BTreeMap<String, u64>> {
    let videos: BTreeSet<&str> =
        events.iter().filter(|event| message_of(event).is_some()).map(|event| &*event.subject).collect();
    let mut places = BTreeMap::new();
    for video in videos {
        let mut after = String::new();
        loop {
            let page = api.read(&format!("/videos/{video}/proof?limit=100{after}"))?;
            for commit in page["data"].as_array().context("a page of proofs has no data")? {
                let number =
                    |name: &str| commit[name].as_u64().with_context(|| format!("{commit} has no {name}"));
                let (stream, place) = (text_at(commit, "/stream")?, number("place")?);
                places
                    .extend((number("first")?..=number("last")?).map(|it| (format!("{stream}/{it}"), place)));
            }
            let Some(next) = page["nextCursor"].as_str() else { break };
            after = format!("&after={next}");
        }
    }
    Ok(places)
}

/// The type of the message that belongs to the event, if exactly one does.
fn message_of(event: &Event) -> Option<&'static str> {
    EXACT.iter().find(|(of, _)| *of == event.kind).map(|(_, kind)| *kind)
}

/// What is wrong with the messages, one sentence each. A message about a video that was deleted before it arrived is not sent. `places` are those
/// of the events.
fn faults_of(events: &[Event], places: &BTreeMap<String, u64>, messages: &[Message]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expected: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    let mut before: Option<(u64, &Event)> = None;
    for event in events {
        let Some(kind) = message_of(event) else { continue };
        let Some(place) = places.get(&event.id).copied() else {
            faults.push(format!("{event:?} has no place"));
            continue;
        };
        if let Some((earlier, other)) = before.filter(|(earlier, _)| *earlier > place) {
            faults.push(format!("{event:?} has the place {place}, and {other:?} before it {earlier}"));
        }
        before = Some((place, event));
        expected.entry((kind, &event.subject)).or_default().push(place);
    }
    let is_deleted = |video: &str| expected.contains_key(&("video.deleted", video));
    let mut left = expected.clone();
    for message in messages.iter().filter(|message| EXACT.iter().any(|(_, kind)| *kind == message.kind)) {
        let places = left.get_mut(&(&*message.kind, &*message.video));
        let found = places.and_then(|places| {
            places.iter().position(|place| *place == message.seq).map(|at| places.swap_remove(at))
        });
        if found.is_none() {
            let Message { kind, video, seq, .. } = message;
            faults.push(format!("{video} has a message {kind} with the place {seq}, at which it has no such event, or another message"));
        }
    }
    for ((kind, video), places) in left.into_iter().filter(|(_, places)| !places.is_empty()) {
        if kind == "video.deleted" || !is_deleted(video) {
            faults.push(format!("{video} has no message {kind} for its events at the places {places:?}"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, subject: &str) -> Event {
        let (id, grant) = (format!("{subject}/{kind}"), String::new());
        Event { id, kind: kind.to_owned(), subject: subject.to_owned(), generation: 1, attempt: 1, grant }
    }

    /// Two videos, the second of which is deleted: their events, the places of these, and the messages.
    fn all() -> (Vec<Event>, BTreeMap<String, u64>, Vec<Message>) {
        let events = ["upload.granted", "upload.completed", "processing.started", "video.ready"];
        let mut events: Vec<Event> =
            ["vid_1", "vid_2"].iter().flat_map(|video| events.map(|kind| event(kind, video))).collect();
        events.push(event("video.deleted", "vid_2"));
        // Places that other streams have are left out.
        let places: BTreeMap<String, u64> =
            events.iter().zip((0..).step_by(3)).map(|(event, place)| (event.id.clone(), place)).collect();
        let messages = events
            .iter()
            .filter_map(|event| Some(Message::new(message_of(event)?, &event.subject, places[&event.id])));
        let messages = messages.collect();
        (events, places, messages)
    }

    #[test]
    fn one_message_for_each_event_is_right() {
        let (events, places, messages) = all();
        assert_eq!(faults_of(&events, &places, &messages), [""; 0]);
    }

    #[test]
    fn a_message_that_is_missing_too_many_or_at_another_place_is_a_fault() {
        let (events, places, messages) = all();
        for index in 0..messages.len() {
            let mut fewer = messages.clone();
            let missing = fewer.remove(index);
            let is_overtaken = missing.video == "vid_2" && missing.kind != "video.deleted";
            assert_eq!(faults_of(&events, &places, &fewer).is_empty(), is_overtaken, "without {missing:?}");
            let mut more = messages.clone();
            more.push(messages[index].clone());
            assert!(!faults_of(&events, &places, &more).is_empty(), "{index} twice");
            // Also where the order of the messages stays the same.
            for by in [1, 100] {
                let mut other = messages.clone();
                other[index].seq += by;
                assert!(!faults_of(&events, &places, &other).is_empty(), "{index} later by {by}");
            }
        }
    }

    #[test]
    fn an_event_without_a_place_or_before_an_earlier_one_is_a_fault() {
        let (events, places, messages) = all();
        let mut fewer = places.clone();
        fewer.remove(&events[1].id);
        assert!(!faults_of(&events, &fewer, &messages).is_empty());
        let (mut swapped, mut messages) = (places.clone(), messages);
        let (first, last) = (&events[1], &events[3]);
        swapped.insert(first.id.clone(), places[&last.id]);
        swapped.insert(last.id.clone(), places[&first.id]);
        for message in &mut messages {
            if message.video == first.subject {
                message.seq = places[&first.id] + places[&last.id] - message.seq;
            }
        }
        assert!(!faults_of(&events, &swapped, &messages).is_empty());
    }
}
