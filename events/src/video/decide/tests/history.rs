use std::time::Duration;

use crate::commit::{Commit, Head, NewCommit};
use crate::event::{EventBody, RecordedEvent, UploadGranted};
use crate::id::{CommitId, GrantId, KeyId, VideoId};
use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::object_key::SourceKey;
use crate::project::Project;
use crate::timestamp::Timestamp;
use crate::video::decide::{
    self, Arrived, Conditions, Decision, Start, Step, complete, fail, next_step, object_arrived, start,
    unused_removed,
};
use crate::video::{ObjectDetails, Policy, SourceObject, Video};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// The commits of one video, one second apart.
pub(super) struct History {
    pub(super) commits: Vec<Commit>,
    pub(super) now: Timestamp,
}

pub(super) fn key() -> SourceKey {
    "projects/acme/clip.mp4".parse().unwrap()
}

pub(super) fn policy() -> Policy {
    Policy::new("raw", "processed")
}

pub(super) fn source() -> MediaSource {
    MediaSource {
        duration_seconds: 1.0,
        width: None,
        height: None,
        rotation: 0,
        frame_rate: None,
        video_codec: None,
        audio_codec: Some("aac".to_owned()),
        bytes: 1,
        warnings: Vec::new(),
    }
}

pub(super) fn outputs() -> Outputs {
    let processed = key().processed();
    Outputs { hls_key: processed.hls_master(), poster_key: None, mp4_key: processed, renditions: vec![] }
}

impl History {
    pub(super) fn nothing() -> Self {
        Self { commits: vec![], now: at() }
    }

    pub(super) fn uploaded() -> Self {
        Self::nothing().upload("01")
    }

    /// The first attempt, started by the worker `one`.
    pub(super) fn started() -> Self {
        Self::uploaded().dispatched().started_by("one")
    }

    pub(super) fn video(&self) -> Video {
        Video::fold("acme".parse().unwrap(), VideoId::of(&key()), &self.commits).unwrap()
    }

    pub(super) fn and(self, decide: impl Fn(&Video) -> Option<Decision>) -> Self {
        let decision = decide(&self.video()).expect("a decision");
        self.then_all(decision)
    }

    pub(super) fn then_all(mut self, decision: Decision) -> Self {
        self.now = self.now.plus(Duration::from_secs(1));
        let head = self.commits.last().map_or(Head::EMPTY, Commit::head);
        let new = NewCommit::new(decision.commit_id, self.now, decision.events);
        self.commits.push(Commit::following(self.video().stream(), head, new));
        self
    }

    /// A minute's grant, history now.
    pub(super) fn granted(self, id: &str) -> Self {
        let granted = grant(id, self.now.plus(Duration::from_mins(1)));
        self.fact(granted)
    }

    /// Advances the time until all grants have ended.
    pub(super) fn after_all_grants(mut self) -> Self {
        self.now = self.now.plus(Duration::from_mins(1)).plus(policy().grant_grace);
        self
    }

    pub(super) fn wait(mut self, duration: Duration) -> Self {
        self.now = self.now.plus(duration);
        self
    }

    /// Grants an upload, and accepts it under this sequencer.
    pub(super) fn upload(self, sequencer: &str) -> Self {
        let granted = self.granted(sequencer);
        let created_at = granted.now;
        let object = SourceObject { created_at, ..object(sequencer) };
        granted.accepted(&object)
    }

    /// Accepts an object.
    pub(super) fn accepted(self, object: &SourceObject) -> Self {
        match self.arrives(object) {
            Arrived::Accepted(decision) => self.then_all(decision),
            other => panic!("{other:?}"),
        }
    }

    /// Rejects an object with this code.
    pub(super) fn rejected(self, object: &SourceObject, code: &str) -> Self {
        match self.arrives(object) {
            Arrived::Rejected(decision, error) if error.code == code => self.then_all(decision),
            other => panic!("{code}: {other:?}"),
        }
    }

    /// Records that an object waits for its grant.
    pub(super) fn received(self, object: &SourceObject) -> Self {
        match self.arrives(object) {
            Arrived::Received(decision) => self.then_all(decision),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn arrives(&self, object: &SourceObject) -> Arrived {
        self.arrives_in(object, &project())
    }

    pub(super) fn arrives_in(&self, object: &SourceObject, project: &Project) -> Arrived {
        let conditions = Conditions { project, now: self.now, policy: &policy(), limit_exceeded: None };
        object_arrived(&self.video(), &key(), object, &conditions)
    }

    /// Records a grant that was issued at `at`.
    pub(super) fn grant_issued_at(mut self, at: Timestamp, granted: &UploadGranted) -> Self {
        self.now = self.now.plus(Duration::from_secs(1));
        let id = CommitId::derived_from(&["granted", &self.commits.len().to_string()]);
        let new = NewCommit { id, events: vec![RecordedEvent::of(at, granted)], recorded_at: self.now };
        let head = self.commits.last().map_or(Head::EMPTY, Commit::head);
        self.commits.push(Commit::following(self.video().stream(), head, new));
        self
    }

    pub(super) fn fact(self, event: impl Into<EventBody>) -> Self {
        let event = event.into();
        let commit_id = CommitId::derived_from(&["fact", &self.commits.len().to_string()]);
        self.then_all(Decision { commit_id, events: vec![event] })
    }

    pub(super) fn dispatched(self) -> Self {
        let later = self.now.plus(Duration::from_hours(1));
        self.and(|video| match next_step(video, later, &policy()) {
            Step::Append(decision) => Some(decision),
            other => panic!("{other:?}"),
        })
    }

    pub(super) fn started_by(self, task: &str) -> Self {
        self.and(|video| match start(video, &job(video), task) {
            Start::Run(decision) => Some(decision),
            other => panic!("{other:?}"),
        })
    }

    pub(super) fn completed_by(self, task: &str) -> Self {
        self.and(|video| complete(video, &job(video), task, source(), outputs()).ok())
    }

    pub(super) fn failed_by(self, task: &str, error: &VideoError) -> Self {
        self.and(|video| fail(video, &job(video), task, error.clone()).ok())
    }

    /// Records that nothing is left of what was deleted or replaced, which is the next step.
    pub(super) fn unused_removed(self) -> Self {
        assert_eq!(self.step(), Step::RemoveUnused);
        self.and(unused_removed)
    }

    pub(super) fn step(&self) -> Step {
        next_step(&self.video(), self.now, &policy())
    }

    /// The step of a video whose grants were all used or voided, and of which nothing else is due.
    pub(super) fn check_of_used_urls(&self) -> Step {
        let until = self.video().unchecked_until.expect("a grant was used or voided");
        Step::Wait(until.plus(policy().grant_grace))
    }

    pub(super) fn appended(&self) -> EventBody {
        match self.step() {
            Step::Append(decision) => decision.events.into_iter().next().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn job(video: &Video) -> Job {
    video.job.clone().unwrap()
}

/// The start of all histories.
pub(super) fn at() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

/// The project of all histories.
pub(super) fn project() -> Project {
    Project { exists: true, ..Project::new("acme".parse().unwrap()) }
}

/// An object without a version, created at the start.
pub(super) fn object(sequencer: &str) -> SourceObject {
    SourceObject {
        version_id: None,
        bytes: 1,
        etag: "e".to_owned(),
        sequencer: sequencer.to_owned(),
        created_at: at(),
        found: false,
        details: Some(ObjectDetails::default()),
        grant_id: None,
    }
}

/// The version with this sequencer, created at `created_at`.
pub(super) fn version(sequencer: &str, created_at: Timestamp) -> SourceObject {
    let etag = format!("etag {sequencer}");
    SourceObject { version_id: Some(format!("v{sequencer}")), etag, created_at, ..object(sequencer) }
}

/// An object without a version that a check of the bucket finds.
pub(super) fn stored(etag: &str) -> SourceObject {
    SourceObject { bytes: 7, etag: etag.to_owned(), found: true, ..object("") }
}

pub(super) fn notification_of(etag: &str, sequencer: &str) -> SourceObject {
    SourceObject { etag: etag.to_owned(), ..object(sequencer) }
}

pub(super) fn grant(id: &str, expires_at: Timestamp) -> UploadGranted {
    UploadGranted {
        grant_id: GrantId::derived_from(&[id.as_bytes()]),
        s3_key: key(),
        expires_at,
        key_id: KeyId::of_hash(&[0; 32]),
        content_type: None,
        size: None,
        sha256: None,
        overwrite: true,
        multipart: false,
        upload_id: None,
        metadata: std::collections::BTreeMap::new(),
    }
}

pub(super) fn retryable() -> VideoError {
    VideoError::retryable("storage_unavailable", "no response")
}

pub(super) fn minute_from(at: Timestamp) -> Timestamp {
    at.plus(Duration::from_mins(1))
}

/// A video whose only version is ready.
pub(super) fn ready_video() -> History {
    let granted = History::nothing().granted("1");
    let object = version("01", granted.now);
    let started = granted.accepted(&object).dispatched().started_by("one");
    started.completed_by("one").and(|video| decide::ready(video, &job(video)).ok())
}

/// Adds a grant of this form, issued at this moment.
pub(super) fn with_grant(history: History, id: &str, change: impl Fn(&mut UploadGranted)) -> History {
    let mut granted = grant(id, minute_from(history.now));
    change(&mut granted);
    let now = history.now.plus(SECOND);
    history.grant_issued_at(now, &granted)
}

pub(super) fn after_wait(mut history: History, object: &SourceObject) -> History {
    history.now = object.created_at.plus(policy().grant_wait);
    history
}
