//! Whether a receiver got the webhooks that follow from the events.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::super::receiver::{Message, Receiver};
use super::feed::Event;
use crate::platform::api::Api;
use crate::platform::program::wait_for;

/// How long the platform may take to deliver everything: what was refused first is sent again after some five seconds.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The events to which exactly one message each belongs, with its type.
const EXACT: [(&str, &str); 3] = [
    ("upload.completed", "video.uploaded"),
    ("video.ready", "video.ready"),
    ("video.deleted", "video.deleted"),
];

/// Waits until the messages about all `events` have arrived, and no message is pending.
pub(in crate::torture) fn arrive(api: &Api, events: &[Event], receiver: &Receiver) -> Result<()> {
    let faults = || {
        let messages: Vec<Message> = receiver.messages()?.into_values().collect();
        Ok::<_, anyhow::Error>(faults_of(events, &messages))
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

/// What is wrong with the messages, one sentence each. A message about a video that was deleted before it arrived is not sent.
fn faults_of(events: &[Event], messages: &[Message]) -> Vec<String> {
    let mut seqs: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    for message in messages.iter().filter(|message| EXACT.iter().any(|(_, kind)| *kind == message.kind)) {
        seqs.entry((&message.kind, &message.video)).or_default().push(message.seq);
    }
    let mut expected: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        if let Some((_, kind)) = EXACT.iter().find(|(of, _)| *of == event.kind) {
            expected.entry((kind, &event.subject)).or_default().push(index);
        }
    }
    let is_deleted = |video: &str| expected.contains_key(&("video.deleted", video));
    let mut faults = Vec::new();
    // The place of each event, in the order of the events.
    let mut places: BTreeMap<usize, u64> = BTreeMap::new();
    for ((kind, video), indexes) in &expected {
        let mut seqs = seqs.remove(&(*kind, *video)).unwrap_or_default();
        seqs.sort_unstable();
        if seqs.len() == indexes.len() {
            places.extend(indexes.iter().copied().zip(seqs));
        } else if seqs.len() > indexes.len() || *kind == "video.deleted" || !is_deleted(video) {
            faults.push(format!("{video}: {} messages {kind} for {} events", seqs.len(), indexes.len()));
        }
    }
    faults.extend(
        seqs.into_keys().map(|(kind, video)| format!("{video} has a message {kind} without an event")),
    );
    let later = places.iter().skip(1);
    for ((before, first), (after, second)) in places.iter().zip(later).filter(|(a, b)| a.1 >= b.1) {
        let (before, after) = (&events[*before], &events[*after]);
        faults.push(format!("{after:?} has the place {second}, and {before:?} before it {first}"));
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

    /// Two videos, the second of which is deleted.
    fn all() -> (Vec<Event>, Vec<Message>) {
        let events = ["upload.granted", "upload.completed", "processing.started", "video.ready"];
        let mut events: Vec<Event> =
            ["vid_1", "vid_2"].iter().flat_map(|video| events.map(|kind| event(kind, video))).collect();
        events.push(event("video.deleted", "vid_2"));
        let messages = events.iter().zip(0..).filter_map(|(event, seq)| {
            let (_, kind) = EXACT.iter().find(|(of, _)| *of == event.kind)?;
            Some(Message::new(kind, &event.subject, seq))
        });
        let messages = messages.collect();
        (events, messages)
    }

    #[test]
    fn one_message_for_each_event_is_right() {
        let (events, messages) = all();
        assert_eq!(faults_of(&events, &messages), [""; 0]);
    }

    #[test]
    fn a_message_that_is_missing_too_many_or_out_of_order_is_a_fault() {
        let (events, messages) = all();
        for place in 0..messages.len() {
            let mut fewer = messages.clone();
            let missing = fewer.remove(place);
            let is_overtaken = missing.video == "vid_2" && missing.kind != "video.deleted";
            assert_eq!(faults_of(&events, &fewer).is_empty(), is_overtaken, "without {missing:?}");
            let mut more = messages.clone();
            more.push(messages[place].clone());
            assert!(!faults_of(&events, &more).is_empty(), "{place} twice");
            let mut other = messages.clone();
            other[place].seq = if place == 0 { 100 } else { 0 };
            assert!(!faults_of(&events, &other).is_empty(), "{place} at another place");
        }
    }
}
