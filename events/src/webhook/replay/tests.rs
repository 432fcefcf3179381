use proptest::prelude::*;

use super::decide::ReplayRefusal;
use super::{FeedBound, ReplayEnd, ReplayKind, ReplayRequest, Replays};
use crate::commit::{Commit, Head, NewCommit};
use crate::event::EventBody;
use crate::id::{CommitId, ReplayId, WebhookId};
use crate::timestamp::Timestamp;

fn request() -> ReplayRequest {
    ReplayRequest {
        kind: ReplayKind::Replay,
        from: FeedBound::Seq(0),
        to: None,
        types: None,
        rate: super::DEFAULT_RATE,
    }
}

fn replay_id(number: u8) -> ReplayId {
    ReplayId::derived_from(&[&number.to_string()])
}

/// The jobs of an endpoint with the commits of their stream.
struct Stream {
    replays: Replays,
    commits: Vec<Commit>,
}

impl Stream {
    fn new() -> Self {
        let webhook_id = WebhookId::derived_from(&[b"endpoint"]);
        Self { replays: Replays::new("acme".parse().unwrap(), webhook_id), commits: Vec::new() }
    }

    fn append(&mut self, commit: NewCommit) {
        let head = self.commits.last().map_or(Head::EMPTY, Commit::head);
        let commit = Commit::following(self.replays.stream(), head, commit);
        self.replays.apply_commit(&commit).unwrap();
        self.commits.push(commit);
    }

    fn append_events(&mut self, events: Vec<EventBody>) {
        if !events.is_empty() {
            let id = CommitId::derived_from(&["command", &self.replays.version.to_string()]);
            self.append(NewCommit::new(id, Timestamp::default(), events));
        }
    }
}

#[derive(Debug, Clone)]
enum Command {
    Start { number: u8, start: u64, end: u64 },
    Cancel { number: u8 },
    Advance { places: u64, scheduled: u64, skipped: u64 },
    Stop,
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        (0u8..6, 0u64..20, 0u64..20).prop_map(|(number, start, end)| Command::Start { number, start, end }),
        (0u8..6).prop_map(|number| Command::Cancel { number }),
        (1u64..9, 0u64..5, 0u64..5).prop_map(|(places, scheduled, skipped)| Command::Advance {
            places,
            scheduled,
            skipped
        }),
        Just(Command::Stop),
    ];
    prop::collection::vec(command, 0..40)
}

proptest! {
    /// Whatever is requested in which order: at most one job is active, it goes forward within its part of the feed, it is complete if
    /// and only if it reached the end, and what has ended stays as it is.
    #[test]
    fn jobs_follow_one_another_and_go_forward(commands in commands()) {
        let mut stream = Stream::new();
        for command in commands {
            let before = stream.replays.clone();
            match command {
                Command::Start { number, start, end } => {
                    if before.get(&replay_id(number)).is_some() {
                        continue;
                    }
                    match before.start(&replay_id(number), request(), start, end) {
                        Ok(events) => stream.append_events(events),
                        Err(refusal) => {
                            let active = before.active().map(|job| job.replay_id.clone());
                            prop_assert_eq!(Some(refusal), active.map(ReplayRefusal::Active));
                        }
                    }
                }
                Command::Cancel { number } => {
                    if let Ok(events) = before.cancel(&replay_id(number)) {
                        stream.append_events(events);
                    } else {
                        prop_assert_eq!(before.get(&replay_id(number)), None);
                    }
                }
                Command::Advance { places, scheduled, skipped } => {
                    let next = before.active().map_or(0, |job| (job.next + places).min(job.end));
                    match before.advance(next, scheduled, skipped, Timestamp::default()) {
                        Some(commit) => stream.append(commit),
                        None => prop_assert!(before.active().is_none()),
                    }
                }
                Command::Stop => {
                    if let Some(commit) = before.stop(ReplayEnd::WebhookRemoved, Timestamp::default()) {
                        stream.append(commit);
                    }
                }
            }
            let after = &stream.replays;
            prop_assert!(after.jobs.iter().filter(|job| job.ended.is_none()).count() <= 1);
            for job in &after.jobs {
                prop_assert!(job.start <= job.next && job.next <= job.end);
                prop_assert!(job.ended != Some(ReplayEnd::Completed) || job.next == job.end);
                let earlier = before.get(&job.replay_id);
                if let Some(earlier) = earlier {
                    let is_same = earlier == job;
                    prop_assert!(is_same || earlier.ended.is_none());
                    prop_assert!(earlier.next <= job.next && earlier.scheduled <= job.scheduled);
                    prop_assert!(earlier.skipped <= job.skipped);
                }
                let has_advanced = earlier.is_some_and(|earlier| earlier.next < job.next);
                prop_assert!(!has_advanced || job.next < job.end || job.ended == Some(ReplayEnd::Completed));
            }
            let mut again = Stream::new().replays;
            for commit in &stream.commits {
                again.apply_commit(commit).unwrap();
            }
            prop_assert_eq!(&again, after);
        }
    }

    #[test]
    fn a_bound_is_read_as_it_is_written(seq: u64, millis in 0i64..4_000_000_000_000) {
        for bound in [FeedBound::Seq(seq), FeedBound::Time(Timestamp::from_unix_millis(millis))] {
            prop_assert_eq!(bound.to_string().parse::<FeedBound>(), Ok(bound));
            let json = serde_json::to_value(bound).unwrap();
            prop_assert_eq!(serde_json::from_value::<FeedBound>(json).unwrap(), bound);
        }
    }

    #[test]
    fn what_is_no_bound_is_refused(text in "[+-][0-9]{1,4}|[0-9]{1,3}[a-z]|.{0,3}[^0-9]|2[0-9]{20,30}") {
        prop_assert!(text.parse::<FeedBound>().is_err(), "{text}");
    }
}
