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

/// What is wrong with the messages, one sentence each.
fn faults_of(events: &[Event], messages: &[Message]) -> Vec<String> {
    let mut seqs: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    for message in messages {
        seqs.entry((&message.kind, &message.video)).or_default().push(message.seq);
    }
    seqs.values_mut().for_each(|seqs| seqs.sort_unstable());
    let mut faults = Vec::new();
    let mut last: Option<(&Event, u64)> = None;
    for event in events {
        let Some((_, kind)) = EXACT.iter().find(|(of, _)| *of == event.kind) else { continue };
        let seqs = seqs.entry((kind, &event.subject)).or_default();
        if seqs.is_empty() {
            faults.push(format!("{} has no message {kind}: {event:?}", event.subject));
            continue;
        }
        let seq = seqs.remove(0);
        if let Some((before, _)) = last.filter(|(_, last)| *last >= seq) {
            faults.push(format!("{event:?} has the place {seq}, which is not after that of {before:?}"));
        }
        last = Some((event, seq));
    }
    let exact = |kind: &str| EXACT.iter().any(|(_, of)| *of == kind);
    for ((kind, video), left) in seqs.into_iter().filter(|((kind, _), left)| exact(kind) && !left.is_empty())
    {
        faults.push(format!("{video} has {} more messages {kind} than events", left.len()));
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

    fn all() -> (Vec<Event>, Vec<Message>) {
        let events =
            ["upload.granted", "upload.completed", "processing.started", "video.ready", "video.deleted"];
        let events: Vec<Event> =
            ["vid_1", "vid_2"].iter().flat_map(|video| events.map(|kind| event(kind, video))).collect();
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
            fewer.remove(place);
            assert_eq!(faults_of(&events, &fewer).len(), 1, "without {place}");
            let mut more = messages.clone();
            more.push(messages[place].clone());
            assert!(!faults_of(&events, &more).is_empty(), "{place} twice");
            let mut other = messages.clone();
            other[place].seq = if place == 0 { 100 } else { 0 };
            assert!(!faults_of(&events, &other).is_empty(), "{place} at another place");
        }
    }
}
