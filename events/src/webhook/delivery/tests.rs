use std::time::Duration;

use proptest::prelude::*;

use super::decide::{Step, attempted, next_step, schedule, schedule_again};
use super::{Delivery, DeliveryState, Round, ScheduleCause};
use crate::commit::{Commit, Head, NewCommit};
use crate::id::{MessageId, ProjectId, VideoId, WebhookId};
use crate::timestamp::Timestamp;
use crate::webhook::endpoint::{EndpointChanges, Endpoints, NewEndpoint};
use crate::webhook::exchange::{Answer, ErrorClass, Exchange, ExchangeError, ExchangeResult};
use crate::webhook::schedule::{ATTEMPTS, PAUSES};
use crate::webhook::{Endpoint, Message, MessageType};

fn start() -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045)
}

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

fn webhook_id() -> WebhookId {
    WebhookId::derived_from(&[b"endpoint"])
}

fn message() -> Message {
    Message {
        id: MessageId::derived_from(&["event"]),
        message_type: MessageType::VideoReady,
        video_id: Some(VideoId::of(&"projects/acme/a".parse().unwrap())),
        video_version: Some(7),
        body: r#"{"type":"video.ready"}"#.to_owned(),
    }
}

/// A delivery with its stream.
struct Stream {
    delivery: Delivery,
    head: Head,
}

impl Stream {
    fn scheduled() -> Self {
        let message = message();
        let delivery = Delivery::new(acme(), webhook_id(), message.id.clone());
        let mut stream = Self { delivery, head: Head::EMPTY };
        stream.append(schedule(&message, &webhook_id(), Round::new(ScheduleCause::Event, start()), start()));
        stream
    }

    fn append(&mut self, new: NewCommit) {
        let commit = Commit::following(self.delivery.stream(), self.head, new);
        self.head = commit.head();
        self.delivery.apply_commit(&commit).unwrap();
    }

    fn attempt(&mut self, exchange: Exchange, now: Timestamp) {
        let commit = attempted(&self.delivery, exchange, now);
        self.append(commit);
    }

    fn step(&self, endpoint: &Endpoint, now: Timestamp) -> Step {
        next_step(&self.delivery, Some(endpoint), None, now)
    }
}

fn endpoint() -> Endpoint {
    let mut endpoints = Endpoints::new(acme());
    let types = vec!["*".parse().unwrap()];
    let url = "https://example.com/hooks".to_owned();
    let new = NewEndpoint { url, types, description: None, rate_limit: None };
    apply(&mut endpoints, |endpoints| endpoints.register(&webhook_id(), new).unwrap());
    endpoints.endpoints[&webhook_id()].clone()
}

fn apply(endpoints: &mut Endpoints, decide: impl FnOnce(&Endpoints) -> Vec<crate::event::EventBody>) {
    let id = crate::id::CommitId::derived_from(&[&endpoints.version.to_string()]);
    let new = NewCommit::new(id, start(), decide(endpoints));
    let head = Head { version: endpoints.version, hash: crate::commit::CommitHash::GENESIS };
    let commit = Commit::following(crate::stream::StreamId::Webhooks(acme()), head, new);
    endpoints.apply_commit(&commit).unwrap();
}

fn answered(status: u16, retry_after: Option<u64>) -> Exchange {
    let answer = Answer::new(status, retry_after, b"");
    Exchange { duration_milliseconds: 12, result: ExchangeResult::Answer(answer) }
}

fn unreachable() -> Exchange {
    let result = ExchangeResult::Error(ExchangeError::new(ErrorClass::ConnectFailed, "refused"));
    Exchange { duration_milliseconds: 3, result }
}

/// What the schedule states, in the words of the specification: attempts at 0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h after
/// one another, each 20 % earlier or later at most.
#[test]
fn an_endpoint_that_always_fails_gets_ten_attempts_on_the_schedule_and_then_none() {
    let (mut stream, endpoint) = (Stream::scheduled(), endpoint());
    let mut now = start();
    let mut pauses = Vec::new();
    for attempt in 1..=ATTEMPTS {
        assert_eq!(stream.step(&endpoint, now), Step::Send { attempt });
        stream.attempt(if attempt % 2 == 0 { answered(500, None) } else { unreachable() }, now);
        if let Some(due_at) = stream.delivery.due_at {
            let just_before = Timestamp::from_unix_millis(due_at.unix_millis() - 1);
            assert_eq!(stream.step(&endpoint, just_before), Step::Wait(due_at));
            pauses.push(due_at.since(now).as_secs_f64());
            now = due_at;
        }
    }
    let full = [5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0];
    assert_eq!(pauses.len(), full.len());
    for (pause, full) in pauses.iter().zip(full) {
        assert!((0.8 * full - 0.001..=1.2 * full).contains(pause), "{pause} s instead of {full} s");
    }
    assert_eq!(stream.delivery.state, DeliveryState::Failed);
    assert_eq!(stream.step(&endpoint, now.plus(Duration::from_hours(1000))), Step::Nothing);
    assert_eq!(stream.delivery.attempts.len(), 10);
}

#[test]
fn statuses_of_200_to_299_are_success_and_all_others_are_failures() {
    for status in 100..600 {
        let mut stream = Stream::scheduled();
        stream.attempt(answered(status, None), start());
        let expected = match status {
            200..=299 => DeliveryState::Delivered,
            410 => DeliveryState::Failed,
            _ => DeliveryState::Pending,
        };
        assert_eq!(stream.delivery.state, expected, "{status}");
        let error = stream.delivery.attempts[0].error.clone();
        assert_eq!(error.is_none(), (200..300).contains(&status));
        let is_redirect = error.is_some_and(|error| error.code == "redirect");
        assert_eq!(is_redirect, matches!(status, 300..=303 | 307 | 308), "{status}");
    }
}

#[test]
fn retry_after_postpones_the_next_attempt_only_with_429_and_503() {
    for (status, seconds, expected) in [
        (429, 3600, 3600..=3600),
        (503, 3600, 3600..=3600),
        (500, 3600, 4..=6),
        (429, 1, 4..=6),
        (503, 10_000_000, 86_400..=86_400),
    ] {
        let mut stream = Stream::scheduled();
        stream.attempt(answered(status, Some(seconds)), start());
        let pause = stream.delivery.due_at.unwrap().since(start()).as_secs();
        assert!(expected.contains(&pause), "{status}, {seconds}: {pause}");
    }
}

#[test]
fn a_delivery_to_an_endpoint_that_is_removed_or_disabled_ends_and_can_be_made_again() {
    let mut endpoints = Endpoints::new(acme());
    let new = NewEndpoint {
        url: "https://example.com".to_owned(),
        types: vec!["*".parse().unwrap()],
        description: None,
        rate_limit: None,
    };
    apply(&mut endpoints, |endpoints| endpoints.register(&webhook_id(), new).unwrap());
    let disable = EndpointChanges { enabled: Some(false), ..EndpointChanges::default() };
    apply(&mut endpoints, |endpoints| endpoints.update(&webhook_id(), disable).unwrap());
    for (endpoint, code) in
        [(None, "webhook_removed"), (endpoints.endpoints.get(&webhook_id()), "webhook_disabled")]
    {
        let mut stream = Stream::scheduled();
        let Step::End(commit) = next_step(&stream.delivery, endpoint, None, start()) else {
            panic!("it does not end")
        };
        stream.append(commit);
        assert_eq!(stream.delivery.state, DeliveryState::Failed);
        assert_eq!(stream.delivery.attempts[0].error.as_ref().unwrap().code, code);
        assert_eq!(stream.delivery.attempts_made, 0, "nothing was sent");

        let again =
            schedule_again(&stream.delivery, Round::new(ScheduleCause::Recover, start()), start(), "request")
                .unwrap();
        stream.append(again);
        assert_eq!(
            next_step(&stream.delivery, Some(&self::endpoint()), None, start()),
            Step::Send { attempt: 1 }
        );
        assert_eq!(stream.delivery.scheduled.as_ref().unwrap().body, message().body, "the same bytes");
    }
}

#[test]
fn nothing_about_a_video_is_sent_after_its_deletion_unless_it_is_requested() {
    let (mut stream, endpoint) = (Stream::scheduled(), endpoint());
    let step = |stream: &Stream, deleted| next_step(&stream.delivery, Some(&endpoint), deleted, start());
    assert_eq!(step(&stream, None), Step::Send { attempt: 1 });
    assert_eq!(step(&stream, Some(6)), Step::Send { attempt: 1 }, "an earlier deletion");
    let Step::End(commit) = step(&stream, Some(8)) else { panic!("a later deletion") };
    stream.append(commit);
    assert_eq!(stream.delivery.attempts[0].error.as_ref().unwrap().code, "video_deleted");
    let again =
        schedule_again(&stream.delivery, Round::new(ScheduleCause::Resend, start()), start(), "request")
            .unwrap();
    stream.append(again);
    assert_eq!(step(&stream, Some(8)), Step::Send { attempt: 1 });

    let mut deletion = message();
    deletion.message_type = MessageType::VideoDeleted;
    let mut stream =
        Stream { delivery: Delivery::new(acme(), webhook_id(), deletion.id.clone()), head: Head::EMPTY };
    stream.append(schedule(&deletion, &webhook_id(), Round::new(ScheduleCause::Event, start()), start()));
    assert_eq!(step(&stream, Some(8)), Step::Send { attempt: 1 });
}

#[test]
fn a_message_that_is_due_anyway_is_not_scheduled_again() {
    let mut stream = Stream::scheduled();
    let again = |stream: &Stream, due_at| {
        schedule_again(&stream.delivery, Round::new(ScheduleCause::Resend, start()), due_at, "request")
    };
    assert_eq!(again(&stream, start()), None);
    stream.attempt(unreachable(), start());
    let hastened = again(&stream, start()).unwrap();
    stream.append(hastened);
    assert_eq!(stream.delivery.due_at, Some(start()));
    stream.attempt(answered(200, None), start());
    assert!(again(&stream, start()).is_some());
    let none = Delivery::new(acme(), webhook_id(), message().id);
    assert_eq!(schedule_again(&none, Round::new(ScheduleCause::Resend, start()), start(), "request"), None);
}

#[derive(Debug, Clone)]
enum Action {
    Attempt(u16, Option<u64>),
    Unreachable,
    Again,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (200u16..600, prop::option::of(0u64..200_000))
            .prop_map(|(status, after)| Action::Attempt(status, after)),
        Just(Action::Unreachable),
        Just(Action::Again),
    ]
}

proptest! {
    /// Whatever happens: a pending delivery has a due time, a finished one has none; a round has at most ten attempts; attempts are
    /// numbered without gaps; the body never changes; and the same decision has the same commit id, so that it is recorded once.
    #[test]
    fn the_laws_of_a_delivery_hold_in_every_history(actions in prop::collection::vec(action(), 1..40)) {
        let mut stream = Stream::scheduled();
        let endpoint = endpoint();
        let (mut now, mut sent) = (start(), 0);
        for (number, action) in actions.into_iter().enumerate() {
            let commit = match action {
                Action::Again => {
                    schedule_again(&stream.delivery, Round::new(ScheduleCause::Resend, now), now, &number.to_string())
                }
                Action::Attempt(..) | Action::Unreachable => match stream.step(&endpoint, now) {
                    Step::Send { attempt } => {
                        sent += 1;
                        prop_assert_eq!(attempt, sent);
                        let exchange = match action {
                            Action::Attempt(status, after) => answered(status, after),
                            _ => unreachable(),
                        };
                        let commit = attempted(&stream.delivery, exchange.clone(), now);
                        let repeated = attempted(&stream.delivery, exchange, now.plus(Duration::from_secs(1)));
                        prop_assert_eq!(&commit.id, &repeated.id);
                        Some(commit)
                    }
                    Step::Wait(until) => {
                        prop_assert!(until > now);
                        now = until;
                        None
                    }
                    Step::Nothing => None,
                    Step::End(_) => panic!("there is no obstacle"),
                },
            };
            if let Some(commit) = commit {
                stream.append(commit);
            }
            let delivery = &stream.delivery;
            prop_assert_eq!(delivery.due_at.is_some(), delivery.state == DeliveryState::Pending);
            prop_assert!(delivery.attempts_of_round <= ATTEMPTS);
            prop_assert_eq!(delivery.attempts_made, sent);
            prop_assert_eq!(&delivery.scheduled.as_ref().unwrap().body, &message().body);
            if let Some(due_at) = delivery.due_at {
                prop_assert!(due_at.since(now) <= PAUSES[8] * 12 / 10);
            }
        }
    }
}
