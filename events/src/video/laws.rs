//! Laws over arbitrary histories: whatever uploads, workers, crashes, zombies, sweeps and commands come in whatever
//! order, what the decisions put into a stream keeps the promises.

use std::time::Duration;

use proptest::prelude::*;

use super::decide::{self, Decision, ObjectCreated, Start, Step, WorkerEnd, next_step};
use super::{Phase, Policy, Video, VideoState};
use crate::commit::{Commit, Head, NewCommit};
use crate::event::{EventBody, ProcessingProgressed};
use crate::id::{CommitId, VideoId};
use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::object_key::SourceKey;
use crate::timestamp::Timestamp;

fn key() -> SourceKey {
    "projects/acme/clip.mp4".parse().unwrap()
}

fn source() -> MediaSource {
    MediaSource {
        duration_seconds: 1.5,
        width: Some(64),
        height: Some(36),
        rotation: 0,
        frame_rate: Some(25.0),
        video_codec: Some("h264".to_owned()),
        audio_codec: None,
        bytes: 10,
    }
}

fn outputs() -> Outputs {
    let processed = key().processed();
    Outputs { hls_key: processed.hls_master(), poster_key: None, mp4_key: processed, renditions: vec![] }
}

/// One video's stream, its launched workers and a clock.
struct World {
    commits: Vec<Commit>,
    now: Timestamp,
    policy: Policy,
    launched: Vec<Job>,
    workers: Vec<Worker>,
    facts: u32,
}

/// A worker with what it last read, which may be long out of date.
struct Worker {
    job: Job,
    task: String,
    seen: Video,
}

#[derive(Debug, Clone)]
enum Action {
    Upload { sequencer: u8 },
    React,
    Wait(u16),
    StartWorker { job: usize },
    Look { worker: usize },
    Progress { worker: usize, percent: u8 },
    Complete { worker: usize },
    Publish { worker: usize },
    Fail { worker: usize, retryable: bool },
    Interrupt { worker: usize },
    Died { worker: usize, crashed: bool },
    Delete,
    Reprocess,
}

fn action() -> impl Strategy<Value = Action> {
    let worker = 0usize..6;
    prop_oneof![
        2 => (1u8..20).prop_map(|sequencer| Action::Upload { sequencer }),
        8 => Just(Action::React),
        3 => (1u16..400).prop_map(Action::Wait),
        6 => (0usize..8).prop_map(|job| Action::StartWorker { job }),
        4 => worker.clone().prop_map(|worker| Action::Look { worker }),
        3 => (worker.clone(), any::<u8>()).prop_map(|(worker, percent)| Action::Progress { worker, percent }),
        4 => worker.clone().prop_map(|worker| Action::Complete { worker }),
        4 => worker.clone().prop_map(|worker| Action::Publish { worker }),
        2 => (worker.clone(), any::<bool>()).prop_map(|(worker, retryable)| Action::Fail { worker, retryable }),
        1 => worker.clone().prop_map(|worker| Action::Interrupt { worker }),
        1 => (worker, any::<bool>()).prop_map(|(worker, crashed)| Action::Died { worker, crashed }),
        1 => Just(Action::Delete),
        1 => Just(Action::Reprocess),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            commits: Vec::new(),
            now: Timestamp::from_unix_seconds(1_800_000_000),
            policy: Policy::new("raw", "processed"),
            launched: Vec::new(),
            workers: Vec::new(),
            facts: 0,
        }
    }

    fn video(&self) -> Video {
        Video::fold("acme".parse().unwrap(), VideoId::of(&key()), &self.commits).unwrap()
    }

    /// As the log does: a known id changes nothing, a version that is not expected is refused.
    fn append(&mut self, expected: Option<u64>, decision: Decision) -> bool {
        if self.commits.iter().any(|commit| commit.id == decision.commit_id) {
            return true;
        }
        let head = self.commits.last().map_or(Head::EMPTY, Commit::head);
        if expected.is_some_and(|version| version != head.version) {
            return false;
        }
        let new = NewCommit::new(decision.commit_id, self.now, decision.events);
        self.commits.push(Commit::following(self.video().stream(), head, new));
        true
    }

    fn decide(&mut self, decision: Option<Decision>, at: &Video) -> bool {
        decision.is_some_and(|decision| self.append(Some(at.version), decision))
    }

    fn react(&mut self) -> bool {
        let video = self.video();
        match next_step(&video, self.now, &self.policy) {
            Step::Append(decision) => self.append(Some(video.version), decision),
            Step::Launch(job) => {
                if !self.launched.contains(&job) {
                    self.launched.push(job);
                }
                false
            }
            Step::Wait(until) => {
                assert!(until > self.now, "a wait that is over would be waited for over and over");
                false
            }
            Step::Rest => false,
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Upload { sequencer } => {
                let object = ObjectCreated {
                    s3_key: key(),
                    bytes: 10,
                    etag: format!("etag-{sequencer}"),
                    sequencer: format!("{sequencer:02X}"),
                };
                let video = self.video();
                self.decide(decide::object_created(&video, object), &video);
            }
            Action::React => {
                self.react();
            }
            Action::Wait(seconds) => self.now = self.now.plus(Duration::from_secs(u64::from(seconds))),
            Action::StartWorker { job } => {
                if let Some(job) = self.launched.get(job).cloned() {
                    let task = format!("task-{}", self.workers.len());
                    self.workers.push(Worker { job, task, seen: self.video() });
                    let worker = self.workers.len() - 1;
                    self.start(worker);
                }
            }
            Action::Look { worker } => {
                let video = self.video();
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.seen = video;
                }
            }
            Action::Progress { worker, percent } => {
                if let Some(worker) = self.workers.get(worker) {
                    let Job { generation, attempt, .. } = worker.job;
                    self.facts += 1;
                    let commit_id = CommitId::derived_from(&["progress", &self.facts.to_string()]);
                    let events = vec![ProcessingProgressed { generation, attempt, percent }.into()];
                    self.append(None, Decision { commit_id, events });
                }
            }
            Action::Complete { worker } => self.worker_decides(worker, |worker| {
                decide::complete(&worker.seen, &worker.job, &worker.task, source(), outputs()).ok()
            }),
            Action::Publish { worker } => {
                self.worker_decides(worker, |worker| decide::ready(&worker.seen, &worker.job).ok());
            }
            Action::Fail { worker, retryable } => self.worker_decides(worker, |worker| {
                let error = VideoError { code: "corrupt".to_owned(), message: "cut".to_owned(), retryable };
                decide::fail(&worker.seen, &worker.job, &worker.task, error).ok()
            }),
            Action::Interrupt { worker } => self.worker_decides(worker, |worker| {
                decide::interrupt(&worker.seen, &worker.job, &worker.task, "spot").ok()
            }),
            Action::Died { worker, crashed } => {
                let video = self.video();
                if let Some(worker) = self.workers.get(worker) {
                    let end = if crashed { WorkerEnd::Crashed } else { WorkerEnd::Stopped };
                    let decision =
                        decide::worker_ended(&video, &worker.job, &worker.task, end("gone".to_owned()));
                    self.decide(decision, &video);
                }
            }
            Action::Delete => {
                let video = self.video();
                self.decide(decide::delete(&video).ok().flatten(), &video);
            }
            Action::Reprocess => {
                let video = self.video();
                self.decide(decide::reprocess(&video).ok(), &video);
            }
        }
    }

    fn start(&mut self, worker: usize) {
        let Worker { job, task, seen } = &self.workers[worker];
        if let Start::Run(decision) = decide::start(seen, job, task) {
            let at = seen.clone();
            self.decide(Some(decision), &at);
        }
    }

    /// A worker decides on what it last read, then reads again.
    fn worker_decides(&mut self, worker: usize, decide: impl Fn(&Worker) -> Option<Decision>) {
        let Some(known) = self.workers.get(worker) else { return };
        let (decision, at) = (decide(known), known.seen.clone());
        self.decide(decision, &at);
        let video = self.video();
        self.workers[worker].seen = video;
    }

    /// Lets a worker that does its work well take every launched job, and time pass, until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..600 {
            while self.react() {}
            match &self.video().phase {
                Phase::Ready | Phase::Errored { .. } | Phase::Deleted => return,
                Phase::Waiting if self.video().open_grants.is_empty() => return,
                Phase::Dispatched { .. } | Phase::Completed { .. } => {
                    let job = self.video().job.expect("a dispatched video has a job");
                    let task = format!("good-{}", self.workers.len());
                    self.workers.push(Worker { job, task, seen: self.video() });
                    let worker = self.workers.len() - 1;
                    self.start(worker);
                    self.act(&Action::Look { worker });
                    self.act(&Action::Complete { worker });
                    self.act(&Action::Publish { worker });
                }
                _ => self.now = self.now.plus(Duration::from_secs(30)),
            }
        }
        panic!("the video never comes to an end: {:?}", self.video());
    }

    fn bodies(&self) -> Vec<EventBody> {
        self.commits.iter().flat_map(|commit| &commit.events).map(|event| event.body().unwrap()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_accepted_upload_comes_to_an_end(actions in prop::collection::vec(action(), 0..120)) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.settle();
        let state = world.video().status().map(|status| status.state);
        let ended = matches!(state, None | Some(VideoState::Ready | VideoState::Errored | VideoState::Deleted));
        prop_assert!(ended, "{:?}", state);
    }

    #[test]
    fn a_generation_is_published_at_most_once_and_only_by_the_attempt_that_completed_it(
        actions in prop::collection::vec(action(), 0..200),
    ) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.settle();
        let bodies = world.bodies();
        let mut current = (0, 0);
        let mut completed = None;
        let mut published = std::collections::HashSet::new();
        for body in &bodies {
            match body {
                EventBody::UploadCompleted(it) => { current = (it.generation, 0); completed = None; }
                EventBody::ProcessingRequested(it) => { current = (it.generation, 0); completed = None; }
                EventBody::ProcessingDispatched(it) => {
                    prop_assert_eq!(it.job.generation, current.0);
                    prop_assert_eq!(it.job.attempt, current.1 + 1, "attempts are numbered without gaps");
                    prop_assert!(completed.is_none());
                    current.1 = it.job.attempt;
                }
                EventBody::ProcessingCompleted(it) => {
                    prop_assert_eq!((it.generation, it.attempt), current, "a fenced-off worker completed");
                    completed = Some(current);
                }
                EventBody::VideoReady(it) => {
                    prop_assert_eq!(Some((it.generation, it.attempt)), completed, "published without being completed");
                    prop_assert!(published.insert(it.generation), "published twice");
                }
                EventBody::ProcessingExpired(_) | EventBody::ProcessingFailed(_) | EventBody::VideoDeleted(_) => {
                    completed = None;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_notice_is_answered_once_and_older_ones_never(sequencers in prop::collection::vec(1u8..6, 1..30)) {
        let mut world = World::new();
        for sequencer in &sequencers {
            world.act(&Action::Upload { sequencer: *sequencer });
        }
        let mut highest = 0;
        let records = sequencers.iter().filter(|sequencer| {
            let rises = **sequencer > highest;
            highest = highest.max(**sequencer);
            rises
        });
        prop_assert_eq!(world.video().generation as usize, records.count());
    }

    #[test]
    fn a_fold_in_any_pieces_is_the_fold_of_the_whole(
        actions in prop::collection::vec(action(), 0..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        let whole = world.video();
        let cut = cut.index(world.commits.len() + 1);
        let mut pieces = Video::fold("acme".parse().unwrap(), VideoId::of(&key()), &world.commits[..cut]).unwrap();
        // A view keeps its state as JSON between two pieces, and duplicates come.
        pieces = serde_json::from_slice(&serde_json::to_vec(&pieces).unwrap()).unwrap();
        for commit in world.commits.iter().chain(&world.commits[..cut]) {
            pieces.apply_commit(commit).unwrap();
        }
        prop_assert_eq!(
            serde_json::to_vec(&pieces.status()).unwrap(),
            serde_json::to_vec(&whole.status()).unwrap()
        );
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn what_is_due_is_never_after_the_next_step(actions in prop::collection::vec(action(), 0..120)) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
            let video = world.video();
            let due_at = decide::due_at(&video, &world.policy);
            match next_step(&video, world.now, &world.policy) {
                Step::Append(_) => prop_assert!(due_at.is_some_and(|due_at| due_at <= world.now)),
                Step::Wait(until) => prop_assert!(due_at.is_some_and(|due_at| due_at <= until)),
                Step::Launch(_) => prop_assert!(due_at.is_some()),
                Step::Rest => prop_assert!(due_at.is_none()),
            }
        }
    }
}
