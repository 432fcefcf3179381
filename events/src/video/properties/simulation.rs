//! The simulated video: its stream, its bucket, its workers and its clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::action::Action;
use crate::commit::{Commit, Head, NewCommit};
use crate::event::{EventBody, RecordedEvent, UploadGranted};
use crate::id::{CommitId, GrantId, KeyId, VideoId};
use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::object_key::SourceKey;
use crate::timestamp::Timestamp;
use crate::video::decide::{self, Decision, ObjectCreated, ObjectFound, Start, Step, next_step};
use crate::video::{Phase, Policy, Video};

pub(super) fn key() -> SourceKey {
    "projects/acme/clip.mp4".parse().unwrap()
}

pub(super) fn source() -> MediaSource {
    MediaSource {
        duration_seconds: 1.5,
        width: Some(64),
        height: Some(36),
        rotation: 0,
        frame_rate: Some(25.0),
        video_codec: Some("h264".to_owned()),
        audio_codec: None,
        bytes: 10,
        warnings: Vec::new(),
    }
}

pub(super) fn outputs() -> Outputs {
    let processed = key().processed();
    Outputs { hls_key: processed.hls_master(), poster_key: None, mp4_key: processed, renditions: vec![] }
}

/// Simulates one video: its stream, its objects in RAW, its launched workers and a clock.
pub(super) struct Simulation {
    pub(super) commits: Vec<Commit>,
    /// Uploads under the key with their times. The highest number is the object in RAW.
    pub(super) puts: BTreeMap<u8, Timestamp>,
    /// Whether all uploads have the same bytes.
    pub(super) is_same: bool,
    /// Uploads removed after a deletion.
    pub(super) removed: BTreeSet<u8>,
    /// The generation that the stable keys hold.
    pub(super) stable_generation: Option<u32>,
    pub(super) checks: Vec<BucketCheck>,
    pub(super) now: Timestamp,
    pub(super) policy: Policy,
    pub(super) launched: Vec<Job>,
    pub(super) workers: Vec<Worker>,
    pub(super) facts: u32,
}

/// A worker with the video as it last read it, which may be outdated.
pub(super) struct Worker {
    pub(super) job: Job,
    pub(super) task: String,
    pub(super) video: Video,
}

/// A process read the video, then checked the bucket, and has not decided yet.
pub(super) struct BucketCheck {
    pub(super) video: Video,
    pub(super) stored: Option<u8>,
    /// The notification that caused the check; `None` if it was caused by an ended grant.
    pub(super) notification: Option<u8>,
}

impl Simulation {
    pub(super) fn new() -> Self {
        Self {
            commits: Vec::new(),
            puts: BTreeMap::new(),
            is_same: false,
            removed: BTreeSet::new(),
            stable_generation: None,
            checks: Vec::new(),
            now: Timestamp::from_unix_seconds(1_800_000_000),
            policy: Policy::new("raw", "processed"),
            launched: Vec::new(),
            workers: Vec::new(),
            facts: 0,
        }
    }

    pub(super) fn video(&self) -> Video {
        Video::fold("acme".parse().unwrap(), VideoId::of(&key()), &self.commits).unwrap()
    }

    pub(super) fn etag(&self, put: u8) -> String {
        if self.is_same { "etag".to_owned() } else { format!("etag-{put}") }
    }

    /// The notification of upload number `put`.
    pub(super) fn notification(&self, put: u8) -> ObjectCreated {
        let (sequencer, created_at) = (format!("{put:02X}"), self.puts[&put]);
        ObjectCreated { s3_key: key(), bytes: 10, etag: self.etag(put), sequencer, created_at }
    }

    /// Adds upload number `put`, at the latest when the next higher number was uploaded.
    pub(super) fn put(&mut self, put: u8) {
        let before = self.puts.range(put..).next().map_or(self.now, |(_, at)| *at);
        self.puts.entry(put).or_insert(before);
    }

    /// Appends like the log: a known id changes nothing, an unexpected version is refused.
    pub(super) fn append(&mut self, expected: Option<u64>, decision: Decision) -> bool {
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

    pub(super) fn decide(&mut self, decision: Option<Decision>, at: &Video) -> bool {
        decision.is_some_and(|decision| self.append(Some(at.version), decision))
    }

    pub(super) fn react(&mut self) -> bool {
        let video = self.video();
        match next_step(&video, self.now, &self.policy) {
            Step::Append(decision) => self.append(Some(video.version), decision),
            Step::Launch(job) => {
                if !self.launched.contains(&job) {
                    self.launched.push(job);
                }
                false
            }
            Step::CheckBucket(_) => {
                self.check_bucket(None);
                let check = self.checks.len() - 1;
                self.decide_check(check, false)
            }
            Step::Wait(until) => {
                assert!(until > self.now, "waiting until a past time would never end");
                self.remove_deleted(&video)
            }
            Step::Idle => self.remove_deleted(&video),
        }
    }

    pub(super) fn stored(&self) -> Option<u8> {
        self.puts.last_key_value().map(|(put, _)| *put).filter(|put| !self.removed.contains(put))
    }

    pub(super) fn remove_deleted(&mut self, video: &Video) -> bool {
        if let (Some(deletion), Some(put)) = (video.deletion_of_source(), self.stored())
            && deletion.etag == self.etag(put)
            && self.puts[&put] <= deletion.at
        {
            self.removed.insert(put);
        }
        if video.deleted_stable_keys().contains(&key().processed()) {
            self.stable_generation = None;
        }
        false
    }

    pub(super) fn check_bucket(&mut self, notification: Option<u8>) {
        self.checks.push(BucketCheck { video: self.video(), stored: self.stored(), notification });
    }

    /// Decides after a bucket check, which may be long ago.
    pub(super) fn decide_check(&mut self, check: usize, refused: bool) -> bool {
        let Some(BucketCheck { video, stored, notification }) = self.checks.get(check) else { return false };
        let video = video.clone();
        let decision = match *notification {
            Some(put) if *stored == Some(put) => decide::object_created(&video, self.notification(put)),
            Some(_) => None,
            None => stored
                .and_then(|put| {
                    let (etag, created_at) = (self.etag(put), self.puts[&put]);
                    let found = ObjectFound { s3_key: key(), bytes: 10, etag, created_at };
                    let refused = refused.then(|| VideoError::permanent("too_large", "large"));
                    decide::object_found(&video, found, refused)
                })
                .or_else(|| decide::grants_expired(&video, self.now, &self.policy)),
        };
        self.decide(decision, &video)
    }

    /// A worker writes the stable keys, if the log, read just before, still allows it.
    pub(super) fn write_stable_keys(&mut self, worker: usize) {
        let video = self.video();
        if let Some(Worker { job, .. }) = self.workers.get(worker)
            && decide::ready(&video, job).is_ok()
        {
            self.stable_generation = Some(job.generation);
        }
    }

    pub(super) fn put_next(&mut self) -> u8 {
        let put = self.puts.last_key_value().map_or(1, |(last, _)| last + 1);
        self.put(put);
        put
    }

    /// Records a grant for ten minutes that was issued `age` ago.
    pub(super) fn grant(&mut self, age: Duration) {
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

    pub(super) fn start(&mut self, worker: usize) {
        let Worker { job, task, video } = &self.workers[worker];
        if let Start::Run(decision) = decide::start(video, job, task) {
            let at = video.clone();
            self.decide(Some(decision), &at);
        }
    }

    /// A worker decides by what it last read, then reads again.
    pub(super) fn worker_decides(&mut self, worker: usize, decide: impl Fn(&Worker) -> Option<Decision>) {
        let Some(known) = self.workers.get(worker) else { return };
        let (decision, at) = (decide(known), known.video.clone());
        self.decide(decision, &at);
        let video = self.video();
        self.workers[worker].video = video;
    }

    /// Lets a correct worker take every launched job, and time pass, until nothing is left to do.
    pub(super) fn settle(&mut self) {
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
                    let task = format!("correct-{}", self.workers.len());
                    self.workers.push(Worker { job, task, video: self.video() });
                    let worker = self.workers.len() - 1;
                    self.start(worker);
                    self.act(&Action::Reread { worker });
                    self.act(&Action::Complete { worker });
                    self.act(&Action::Publish { worker });
                }
                _ => match next_step(&self.video(), self.now, &self.policy) {
                    Step::Wait(until) => self.now = until,
                    step => panic!("more to do: {step:?}"),
                },
            }
        }
        panic!("the video never ends: {:?}", self.video());
    }

    pub(super) fn bodies(&self) -> Vec<EventBody> {
        self.commits.iter().flat_map(|commit| &commit.events).map(|event| event.body().unwrap()).collect()
    }
}
