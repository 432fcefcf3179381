//! Laws over arbitrary histories: whatever uploads, workers, crashes, zombies, sweeps and commands come in whatever
//! order, and whatever is lost of them, what the decisions put into a stream keeps the promises.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::decide::{self, Decision, ObjectCreated, ObjectFound, Start, Step, WorkerEnd, next_step};
use super::{Phase, Policy, Video, VideoState};
use crate::commit::{Commit, Head, NewCommit};
use crate::event::{EventBody, ProcessingProgressed, RecordedEvent, UploadGranted};
use crate::id::{CommitId, GrantId, KeyId, VideoId};
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

/// One video's stream, its object in RAW, its launched workers and a clock.
struct World {
    commits: Vec<Commit>,
    /// What was put under the key, and when: the highest stands there.
    puts: BTreeMap<u8, Timestamp>,
    /// Whether all that is put are the same bytes.
    is_same: bool,
    /// What was removed after its deletion.
    removed: BTreeSet<u8>,
    /// The generation that the stable keys hold.
    pointers: Option<u32>,
    looks: Vec<Look>,
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

/// Somebody read the video, then looked into the bucket, and has not decided yet.
struct Look {
    seen: Video,
    stands: Option<u8>,
    /// Because of this notice; otherwise because the grants are over.
    notice: Option<u8>,
}

#[derive(Debug, Clone)]
enum Action {
    /// An object is put; nothing is heard of it.
    Put,
    /// S3's notice of a put comes: late, twice, out of order. What was not put is put before.
    Upload {
        put: u8,
    },
    /// Grants that are this many seconds old reach the log.
    Grant {
        age: u16,
    },
    LookFor {
        notice: Option<u8>,
    },
    DecideLook {
        look: usize,
        refused: bool,
    },
    React,
    Wait(u16),
    StartWorker {
        job: usize,
    },
    Look {
        worker: usize,
    },
    Progress {
        worker: usize,
        percent: u8,
    },
    Complete {
        worker: usize,
    },
    /// The stable keys are written, and nothing comes after that.
    Point {
        worker: usize,
    },
    Publish {
        worker: usize,
    },
    Fail {
        worker: usize,
        retryable: bool,
    },
    Interrupt {
        worker: usize,
    },
    Died {
        worker: usize,
        crashed: bool,
    },
    Delete,
    Reprocess,
}

fn action() -> impl Strategy<Value = Action> {
    let worker = 0usize..6;
    prop_oneof![
        2 => Just(Action::Put),
        3 => (1u8..20).prop_map(|put| Action::Upload { put }),
        3 => (0u16..400).prop_map(|age| Action::Grant { age }),
        2 => proptest::option::of(1u8..20).prop_map(|notice| Action::LookFor { notice }),
        2 => (0usize..4, prop::bool::weighted(0.2)).prop_map(|(look, refused)| Action::DecideLook { look, refused }),
        8 => Just(Action::React),
        3 => prop_oneof![1u16..400, 3000u16..5000].prop_map(Action::Wait),
        6 => (0usize..8).prop_map(|job| Action::StartWorker { job }),
        4 => worker.clone().prop_map(|worker| Action::Look { worker }),
        3 => (worker.clone(), any::<u8>()).prop_map(|(worker, percent)| Action::Progress { worker, percent }),
        4 => worker.clone().prop_map(|worker| Action::Complete { worker }),
        1 => worker.clone().prop_map(|worker| Action::Point { worker }),
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
            puts: BTreeMap::new(),
            is_same: false,
            removed: BTreeSet::new(),
            pointers: None,
            looks: Vec::new(),
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

    fn etag(&self, put: u8) -> String {
        if self.is_same { "etag".to_owned() } else { format!("etag-{put}") }
    }

    /// The notice of the `put`th object that was put under the key.
    fn notice(&self, put: u8) -> ObjectCreated {
        let (sequencer, created_at) = (format!("{put:02X}"), self.puts[&put]);
        ObjectCreated { s3_key: key(), bytes: 10, etag: self.etag(put), sequencer, created_at }
    }

    /// What a lower number has was put there before.
    fn put(&mut self, put: u8) {
        let before = self.puts.range(put..).next().map_or(self.now, |(_, at)| *at);
        self.puts.entry(put).or_insert(before);
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
            Step::Look(_) => {
                self.look_for(None);
                let look = self.looks.len() - 1;
                self.decide_look(look, false)
            }
            Step::Wait(until) => {
                assert!(until > self.now, "a wait that is over would be waited for over and over");
                self.remove_deleted(&video)
            }
            Step::Rest => self.remove_deleted(&video),
        }
    }

    fn stands(&self) -> Option<u8> {
        self.puts.last_key_value().map(|(put, _)| *put).filter(|put| !self.removed.contains(put))
    }

    fn remove_deleted(&mut self, video: &Video) -> bool {
        if let (Some(deletion), Some(put)) = (video.deletion_of_source(), self.stands())
            && deletion.etag == self.etag(put)
            && self.puts[&put] <= deletion.at
        {
            self.removed.insert(put);
        }
        if video.deleted_stable_keys().contains(&key().processed()) {
            self.pointers = None;
        }
        false
    }

    fn look_for(&mut self, notice: Option<u8>) {
        self.looks.push(Look { seen: self.video(), stands: self.stands(), notice });
    }

    /// What follows from a look, however long ago it was.
    fn decide_look(&mut self, look: usize, refused: bool) -> bool {
        let Some(Look { seen, stands, notice: of }) = self.looks.get(look) else { return false };
        let seen = seen.clone();
        let decision = match *of {
            Some(put) if *stands == Some(put) => decide::object_created(&seen, self.notice(put)),
            Some(_) => None,
            None => stands
                .and_then(|put| {
                    let (etag, created_at) = (self.etag(put), self.puts[&put]);
                    let found = ObjectFound { s3_key: key(), bytes: 10, etag, created_at };
                    let refused = refused.then(|| VideoError::permanent("too_large", "large"));
                    decide::object_found(&seen, found, refused)
                })
                .or_else(|| decide::grants_expired(&seen, self.now, &self.policy)),
        };
        self.decide(decision, &seen)
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Put => {
                self.put_next();
            }
            Action::Upload { put } => {
                self.put(put);
                let (video, object) = (self.video(), self.notice(put));
                if !decide::must_look(&video, &object) || self.stands() == Some(put) {
                    self.decide(decide::object_created(&video, object), &video);
                }
            }
            Action::Grant { age } => self.grant(Duration::from_secs(age.into())),
            Action::LookFor { notice } => {
                if let Some(put) = notice {
                    self.put(put);
                }
                self.look_for(notice);
            }
            Action::DecideLook { look, refused } => {
                self.decide_look(look, refused);
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
            Action::Point { worker } => self.point(worker),
            Action::Publish { worker } => {
                self.point(worker);
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

    /// A worker writes the stable keys, on the condition that the log, read just before, still wants that.
    fn point(&mut self, worker: usize) {
        let video = self.video();
        if let Some(Worker { job, .. }) = self.workers.get(worker)
            && decide::ready(&video, job).is_ok()
        {
            self.pointers = Some(job.generation);
        }
    }

    fn put_next(&mut self) -> u8 {
        let put = self.puts.last_key_value().map_or(1, |(last, _)| last + 1);
        self.put(put);
        put
    }

    /// A grant for ten minutes, given `age` ago and recorded now.
    fn grant(&mut self, age: Duration) {
        self.facts += 1;
        let number = self.facts.to_string();
        let at =
            Timestamp::from_unix_millis(self.now.unix_millis() - i64::try_from(age.as_millis()).unwrap());
        let granted = UploadGranted {
            grant_id: GrantId::derived_from(&[number.as_bytes()]),
            s3_key: key(),
            expires_at: at.plus(Duration::from_mins(10)),
            key_id: KeyId::of_hash(&[0; 32]),
            content_type: None,
            size: None,
            sha256: None,
            overwrite: true,
            multipart: false,
            metadata: std::collections::BTreeMap::new(),
        };
        let id = CommitId::derived_from(&["granted", &number]);
        let new = NewCommit { id, events: vec![RecordedEvent::of(at, &granted)], recorded_at: self.now };
        let head = self.commits.last().map_or(Head::EMPTY, Commit::head);
        self.commits.push(Commit::following(self.video().stream(), head, new));
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
                Phase::Waiting | Phase::Ready | Phase::Errored { .. } | Phase::Deleted
                    if self.video().open_grants.is_empty() =>
                {
                    return;
                }
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
                _ => match next_step(&self.video(), self.now, &self.policy) {
                    Step::Wait(until) => self.now = until,
                    step => panic!("there is more to do: {step:?}"),
                },
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
    fn every_accepted_upload_comes_to_an_end(actions in prop::collection::vec(action(), 0..120), is_same in any::<bool>()) {
        let mut world = World { is_same, ..World::new() };
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
        let mut published = HashSet::new();
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
    fn a_notice_is_answered_once_and_older_ones_never(puts in prop::collection::vec(1u8..6, 1..30)) {
        let mut world = World::new();
        for put in &puts {
            world.act(&Action::Upload { put: *put });
        }
        let mut highest = 0;
        let records = puts.iter().filter(|put| {
            let rises = **put > highest;
            highest = highest.max(**put);
            rises
        });
        prop_assert_eq!(world.video().generation as usize, records.count());
    }

    #[test]
    fn an_object_begins_at_most_one_generation_however_the_log_learns_of_it(
        actions in prop::collection::vec(action(), 0..200),
    ) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.settle();
        let mut etags = HashSet::new();
        for body in world.bodies() {
            if let EventBody::UploadCompleted(completed) = body {
                prop_assert!(etags.insert(completed.etag), "an object is processed twice");
            }
        }
    }

    #[test]
    fn an_upload_of_which_s3_never_told_is_found_when_its_grant_is_over(
        actions in prop::collection::vec(action(), 0..120),
    ) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.grant(Duration::ZERO);
        let put = world.put_next();
        world.settle();
        let found = world.bodies().into_iter().any(|body| {
            matches!(body, EventBody::UploadCompleted(completed) if completed.found && completed.etag == world.etag(put))
        });
        prop_assert!(found);
    }

    #[test]
    fn the_same_bytes_uploaded_again_are_a_new_upload_however_the_log_learns_of_them(
        actions in prop::collection::vec(action(), 0..120),
        (is_told, is_deleted, wait) in (any::<bool>(), any::<bool>(), 1u16..120),
    ) {
        let mut world = World { is_same: true, ..World::new() };
        for action in &actions {
            world.act(action);
        }
        world.settle();
        // A deletion draws a line; without one, clocks may differ.
        if is_deleted {
            world.act(&Action::Delete);
            world.settle();
        }
        world.act(&Action::Wait(if is_deleted { wait } else { wait + 60 }));
        let before = world.video().generation;
        world.grant(Duration::ZERO);
        let put = world.put_next();
        if is_told {
            world.act(&Action::Upload { put });
        }
        world.settle();
        prop_assert_eq!(world.video().generation, before + 1);
        prop_assert_eq!(world.stands(), Some(put), "what was uploaded is gone");
    }

    #[test]
    fn nothing_that_was_deleted_plays_on(actions in prop::collection::vec(action(), 0..200), is_same in any::<bool>()) {
        let mut world = World { is_same, ..World::new() };
        for action in &actions {
            world.act(action);
        }
        world.settle();
        let video = world.video();
        if let (Some(deletion), Some(generation)) = (&video.deleted, world.pointers) {
            prop_assert!(generation > deletion.generation, "what the stable keys hold was deleted");
        }
        if let Some((published, _)) = video.published {
            prop_assert!(world.pointers.is_some_and(|it| it >= published), "what is published is gone");
        }
    }

    #[test]
    fn a_grant_that_reaches_the_log_after_its_upload_leaves_nothing_to_wait_for(age in 1u16..400) {
        let mut world = World::new();
        world.act(&Action::Upload { put: 1 });
        world.act(&Action::Grant { age });
        prop_assert!(world.video().open_grants.is_empty());
        world.settle();
        prop_assert_eq!(world.video().phase, Phase::Ready);
        prop_assert!(!world.bodies().iter().any(|body| matches!(body, EventBody::UploadExpired(_))));
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
                Step::Append(_) | Step::Look(_) => {
                    prop_assert!(due_at.is_some_and(|due_at| due_at <= world.now));
                }
                Step::Wait(until) => prop_assert!(due_at.is_some_and(|due_at| due_at <= until)),
                Step::Launch(_) => prop_assert!(due_at.is_some()),
                Step::Rest => prop_assert!(due_at.is_none()),
            }
        }
    }
}
