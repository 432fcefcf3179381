//! The simulated video: its stream, its bucket, its workers and its clock.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::action::Action;
use crate::api_key::{ApiKey, KeyHash};
use crate::commit::{Commit, Head, NewCommit};
use crate::event::{EventBody, RecordedEvent, UploadGranted};
use crate::id::{CommitId, GrantId, VideoId};
use crate::job::Job;
use crate::media::{MediaSource, Outputs};
use crate::object_key::SourceKey;
use crate::project::{Key, Project};
use crate::timestamp::Timestamp;
use crate::video::decide::{self, Decision, Start, Step, next_step};
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

/// The outputs of an upload. Every second one has no pictures and so no poster.
pub(super) fn outputs(generation: u32) -> Outputs {
    let processed = key().processed();
    Outputs {
        hls_key: processed.hls_master(),
        poster_key: has_poster(generation).then(|| processed.poster()),
        mp4_key: processed,
        renditions: vec![],
    }
}

pub(super) fn has_poster(generation: u32) -> bool {
    !generation.is_multiple_of(2)
}

pub(super) fn api_key(number: u8) -> KeyHash {
    ApiKey::generate("live", [number; 32]).unwrap().hash()
}

/// The grant that is recorded as this one of all.
pub(super) fn grant_id(number: u32) -> GrantId {
    GrantId::derived_from(&[number.to_string().as_bytes()])
}

/// Simulates one video: its stream, its objects in RAW, its launched workers and a clock.
pub(super) struct Simulation {
    pub(super) commits: Vec<Commit>,
    /// The video after this many of the commits.
    pub(super) folded: RefCell<(Video, usize)>,
    /// Uploads under the key with their times. Without versions the highest number is the object in RAW.
    pub(super) puts: BTreeMap<u8, Timestamp>,
    /// When they were added: an older upload than others may be added later.
    pub(super) added: BTreeMap<u8, Timestamp>,
    /// Whether RAW keeps versions.
    pub(super) is_versioned: bool,
    /// Whether some uploads are multipart uploads.
    pub(super) has_multipart: bool,
    /// The grants that uploads name, except those with a number divisible by four; `None` if no upload names its grant.
    pub(super) names: Option<BTreeMap<u8, GrantId>>,
    /// How many grants were recorded, without repetitions.
    pub(super) grants: u32,
    /// When the API keys with these numbers were revoked.
    pub(super) revoked: BTreeMap<u8, Timestamp>,
    /// Whether all uploads have the same bytes.
    pub(super) is_same: bool,
    /// Uploads removed from RAW.
    pub(super) removed: BTreeSet<u8>,
    /// The generation that the stable keys of MP4 and playlist hold.
    pub(super) stable_generation: Option<u32>,
    /// The generation that the stable key of the poster holds.
    pub(super) poster_generation: Option<u32>,
    pub(super) checks: Vec<BucketCheck>,
    pub(super) now: Timestamp,
    pub(super) policy: Policy,
    pub(super) launched: Vec<Job>,
    pub(super) workers: Vec<Worker>,
    pub(super) facts: u32,
}

/// What a grant demands and allows.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    pub(super) size: Option<u64>,
    pub(super) overwrite: bool,
    pub(super) multipart: bool,
    /// The number of its API key.
    pub(super) key: u8,
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
    pub(super) stored: Vec<u8>,
    /// The notification that caused the check; `None` if it was caused by an ended grant.
    pub(super) notification: Option<u8>,
}

impl Simulation {
    pub(super) fn new() -> Self {
        Self {
            commits: Vec::new(),
            folded: RefCell::new((Video::new("acme".parse().unwrap(), VideoId::of(&key())), 0)),
            puts: BTreeMap::new(),
            added: BTreeMap::new(),
            is_versioned: false,
            has_multipart: false,
            names: None,
            grants: 0,
            revoked: BTreeMap::new(),
            is_same: false,
            removed: BTreeSet::new(),
            stable_generation: None,
            poster_generation: None,
            checks: Vec::new(),
            now: Timestamp::from_unix_seconds(1_800_000_000),
            policy: Policy::new("raw", "processed"),
            launched: Vec::new(),
            workers: Vec::new(),
            facts: 0,
        }
    }

    /// The video, folded on from where it was last read.
    pub(super) fn video(&self) -> Video {
        let mut folded = self.folded.borrow_mut();
        for commit in &self.commits[folded.1..] {
            folded.0.apply_commit(commit).unwrap();
        }
        folded.1 = self.commits.len();
        folded.0.clone()
    }

    /// The project, in which the API keys 0 to 2 exist.
    pub(super) fn project(&self) -> Project {
        let keys = (0..3).map(|number| {
            let hash = api_key(number);
            let key = Key {
                hash,
                scopes: vec![],
                label: None,
                created_at: Timestamp::default(),
                expires_at: None,
                revoked_at: self.revoked.get(&number).copied(),
            };
            (hash.key_id(), key)
        });
        Project { exists: true, keys: keys.collect(), ..Project::new("acme".parse().unwrap()) }
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
            Step::DecideObject(object) => {
                self.decide_known(&object);
                true
            }
            Step::CheckBucket(_) => {
                self.check_bucket(None);
                let check = self.checks.len() - 1;
                self.decide_check(check)
            }
            Step::RemoveUnused => {
                self.remove_unused(&video);
                self.decide(decide::unused_removed(&video), &video)
            }
            Step::RemoveVersions(_, removals) => {
                for removal in &removals {
                    self.remove_version(&video, removal);
                }
                let decision = decide::versions_removed(&video, &removals);
                self.decide(decision, &video)
            }
            Step::Wait(until) => {
                assert!(until > self.now, "waiting until a past time would never end");
                false
            }
            Step::Idle => false,
        }
    }

    /// A worker writes the stable keys, if the log, read just before, still allows it.
    pub(super) fn write_stable_keys(&mut self, worker: usize) {
        let video = self.video();
        if let Some(Worker { job, .. }) = self.workers.get(worker)
            && decide::ready(&video, job).is_ok()
        {
            self.stable_generation = Some(job.generation);
            if has_poster(job.generation) {
                self.poster_generation = Some(job.generation);
            }
        }
    }

    /// Records a grant for ten minutes that was issued `age` ago, states nothing and may replace a video.
    pub(super) fn grant(&mut self, age: Duration) {
        self.record_grant(age, &Demand { size: None, overwrite: true, multipart: false, key: 0 });
    }

    /// Records a grant for ten minutes that was issued `age` ago.
    pub(super) fn record_grant(&mut self, age: Duration, demand: &Demand) {
        let Demand { size, overwrite, multipart, key: key_number } = *demand;
        self.grants += 1;
        let number = self.grants.to_string();
        let at =
            Timestamp::from_unix_millis(self.now.unix_millis() - i64::try_from(age.as_millis()).unwrap());
        let granted = UploadGranted {
            grant_id: grant_id(self.grants),
            s3_key: key(),
            expires_at: at.plus(Duration::from_mins(10)),
            key_id: api_key(key_number).key_id(),
            content_type: None,
            size,
            sha256: None,
            overwrite,
            multipart,
            upload_id: None,
            metadata: std::collections::BTreeMap::new(),
        };
        let id = CommitId::derived_from(&["granted", &number]);
        let new = NewCommit { id, events: vec![RecordedEvent::of(at, &granted)], recorded_at: self.now };
        let head = self.commits.last().map_or(Head::EMPTY, Commit::head);
        self.commits.push(Commit::following(self.video().stream(), head, new));
    }

    /// Records another URL of the grant that was recorded at place `index`, issued `age` ago but not before the grant.
    pub(super) fn repeat_grant(&mut self, index: usize, age: Duration) {
        let events = self.commits.iter().flat_map(|commit| &commit.events);
        let mut grants = events.filter_map(|event| Some((event.at, event.read::<UploadGranted>().unwrap()?)));
        let Some((first_at, granted)) = grants.nth(index) else { return };
        self.facts += 1;
        let ago =
            Timestamp::from_unix_millis(self.now.unix_millis() - i64::try_from(age.as_millis()).unwrap());
        let at = ago.max(first_at);
        let granted = UploadGranted { expires_at: at.plus(Duration::from_mins(10)), ..granted };
        let id = CommitId::derived_from(&["granted again", &self.facts.to_string()]);
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
        for _ in 0..1000 {
            while self.react() {}
            let step = next_step(&self.video(), self.now, &self.policy);
            match (&self.video().phase, step) {
                (Phase::Dispatched { .. } | Phase::Completed { .. }, _) => {
                    let job = self.video().job.expect("a dispatched video has a job");
                    let task = format!("correct-{}", self.workers.len());
                    self.workers.push(Worker { job, task, video: self.video() });
                    let worker = self.workers.len() - 1;
                    self.start(worker);
                    self.act(&Action::Reread { worker });
                    self.act(&Action::Complete { worker });
                    self.act(&Action::Publish { worker });
                }
                (_, Step::Launch(job)) => {
                    // The publication of an earlier upload is continued.
                    self.workers.push(Worker { job, task: "publisher".to_owned(), video: self.video() });
                    self.act(&Action::Publish { worker: self.workers.len() - 1 });
                }
                (_, Step::Idle) => return,
                (_, Step::Wait(until)) => self.now = until,
                (_, step) => panic!("more to do: {step:?}"),
            }
        }
        panic!("the video never ends: {:?}", self.video());
    }

    /// When the acceptance of the upload with this entity tag was recorded.
    pub(super) fn recorded_at(&self, etag: &str) -> Timestamp {
        let accepted = self.commits.iter().find(|commit| {
            commit.events.iter().any(|event| {
                matches!(event.body(), Ok(EventBody::UploadCompleted(completed)) if completed.etag == etag)
            })
        });
        accepted.expect("it was accepted").recorded_at
    }

    /// Whether an event names upload number `put`.
    pub(super) fn is_recorded(&self, put: u8) -> bool {
        let version_id = Some(format!("v{put}"));
        self.bodies().into_iter().any(|body| match body {
            EventBody::UploadCompleted(it) => it.version_id == version_id,
            EventBody::UploadRejected(it) => it.version_id == version_id,
            EventBody::UploadReceived(it) => it.version_id == version_id,
            _ => false,
        })
    }

    /// Whether rejected versions may have been removed by now.
    pub(super) fn takes_longer_than_retention(&self) -> bool {
        let began = self.commits.first().map_or(self.now, |commit| commit.recorded_at);
        self.now.since(began) >= self.policy.rejected_retention
    }

    pub(super) fn bodies(&self) -> Vec<EventBody> {
        self.commits.iter().flat_map(|commit| &commit.events).map(|event| event.body().unwrap()).collect()
    }
}
