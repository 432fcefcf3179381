use std::time::Duration;

use crate::commit::{Commit, Head, NewCommit};
use crate::event::{EventBody, UploadGranted};
use crate::id::{CommitId, GrantId, KeyId, VideoId};
use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::object_key::SourceKey;
use crate::timestamp::Timestamp;
use crate::video::decide::{
    Decision, ObjectCreated, ObjectFound, Start, Step, complete, fail, next_step, object_created,
    object_found, start,
};
use crate::video::{Policy, Video};

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
        Self::nothing().and(|video| object_created(video, object("01")))
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

    pub(super) fn found(self, etag: &str) -> Self {
        self.and(|video| object_found(video, stored(etag), None))
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

    pub(super) fn step(&self) -> Step {
        next_step(&self.video(), self.now, &policy())
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

pub(super) fn object(sequencer: &str) -> ObjectCreated {
    ObjectCreated {
        s3_key: key(),
        bytes: 1,
        etag: "e".to_owned(),
        sequencer: sequencer.to_owned(),
        created_at: at(),
    }
}

pub(super) fn stored(etag: &str) -> ObjectFound {
    ObjectFound { s3_key: key(), bytes: 7, etag: etag.to_owned(), created_at: at() }
}

pub(super) fn notification_of(etag: &str, sequencer: &str) -> ObjectCreated {
    ObjectCreated { etag: etag.to_owned(), ..object(sequencer) }
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
        metadata: std::collections::BTreeMap::new(),
    }
}

pub(super) fn retryable() -> VideoError {
    VideoError::retryable("storage_unavailable", "no response")
}
