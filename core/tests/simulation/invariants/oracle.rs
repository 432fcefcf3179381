//! The truth about a run, apart from the product.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use streamio_core::ports::dead_letters::DeadLetter;
use streamio_events::id::{CommitId, GrantId, VideoId};
use streamio_events::job::Job;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Video;

use crate::engine::Millis;
use crate::plan::{Action, Operation, Plan, Quality, Upload};
use crate::tenant::{project_id, source_key};
use crate::world::StoredObject;

/// What is known of a run.
pub(crate) struct Oracle {
    pub(super) violations: Vec<String>,
    pub(super) uploads: BTreeMap<usize, Upload>,
    pub(crate) videos: BTreeMap<StreamId, VideoFacts>,
    pub(super) grants: Vec<AcknowledgedGrant>,
    pub(super) objects: Vec<TenantObject>,
    pub(super) commands: Vec<(StreamId, CommitId)>,
    /// Payloads that no function can handle.
    pub(super) unprocessable: Vec<(&'static str, String)>,
    /// Payloads of asynchronous events that no attempt could deliver.
    pub(super) given_up: BTreeSet<String>,
    pub(super) retention: Duration,
    lost_attempts: BTreeMap<(VideoId, u32), usize>,
    /// Workers that have ended, or that are about to record the end of their attempts.
    ending_tasks: BTreeSet<String>,
}

/// A grant whose URL a tenant has.
pub(super) struct AcknowledgedGrant {
    pub(super) operation: usize,
    pub(super) stream: StreamId,
    pub(super) commit_id: CommitId,
}

/// An object that a tenant stored.
#[derive(Debug, Clone)]
pub(super) struct TenantObject {
    pub(super) operation: usize,
    pub(super) stream: StreamId,
    pub(super) version_id: Option<String>,
    pub(super) etag: String,
    pub(super) created_at: Timestamp,
    /// When it was stored, in true time.
    pub(super) stored_at: Millis,
}

/// What the events of a video say.
pub(crate) struct VideoFacts {
    /// The product's fold, for the comparison with views.
    pub(crate) fold: Video,
    pub(super) is_unreadable: bool,
    pub(super) generation: u32,
    pub(super) attempt: u32,
    pub(super) state: AttemptState,
    pub(super) is_occupied: bool,
    pub(super) accepted: Option<(Option<String>, String)>,
    pub(super) versions: BTreeMap<String, VersionState>,
    /// The entity tags of the objects without versions that are recorded.
    pub(super) unversioned: BTreeSet<String>,
    /// The entity tag of each accepted upload without a version that was deleted, and when it last was, in true time.
    pub(super) deleted: BTreeMap<String, Millis>,
    /// The generation of the latest deletion; 0 if there was none.
    pub(super) deleted_generation: u32,
    /// Whether outputs of deleted or replaced content have to be removed, and their removal is not recorded.
    pub(super) has_unremoved_outputs: bool,
    pub(super) used_grants: BTreeSet<GrantId>,
    pub(super) overwriting: BTreeMap<GrantId, bool>,
    pub(crate) dispatched: BTreeMap<(u32, u32), Job>,
    /// When the attempt before the next one ended.
    pub(super) ended_at: Option<Timestamp>,
    /// The time of the worker's last event.
    pub(super) last_heartbeat_at: Timestamp,
    pub(super) published: Option<(u32, u32)>,
    /// The latest completed attempt that ended before it was published.
    pub(super) unpublished: Option<(u32, u32)>,
    /// Grants that a deletion voided.
    pub(super) voided: BTreeSet<GrantId>,
}

/// The state of the current attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AttemptState {
    /// No attempt of the current generation was dispatched.
    None,
    Dispatched,
    Started(String),
    Completed,
    /// It failed or was interrupted.
    Ended,
    /// The generation has ended.
    Final,
}

/// What the log says about a version of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionState {
    Waiting,
    Accepted,
    /// Rejected or superseded at this time.
    SetAside(Timestamp),
    Deleted,
    Removed,
}

impl Oracle {
    /// Returns the truth before anything happened.
    pub(crate) fn new(plan: &Plan) -> Self {
        let uploads = plan.operations().filter_map(|operation| match &operation.action {
            Action::Upload(upload) => Some((operation.id, upload.clone())),
            _ => None,
        });
        Self {
            violations: Vec::new(),
            uploads: uploads.collect(),
            videos: BTreeMap::new(),
            grants: Vec::new(),
            objects: Vec::new(),
            commands: Vec::new(),
            unprocessable: Vec::new(),
            given_up: BTreeSet::new(),
            retention: plan.retention,
            lost_attempts: BTreeMap::new(),
            ending_tasks: BTreeSet::new(),
        }
    }

    /// Notes that an invariant does not hold.
    pub(crate) fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    /// The first violation.
    pub(crate) fn violation(&self) -> Option<&str> {
        self.violations.first().map(String::as_str)
    }

    /// Notes that a tenant got an upload URL.
    pub(crate) fn grant_acknowledged(
        &mut self,
        operation: &Operation,
        stream: &StreamId,
        commit_id: &CommitId,
    ) {
        let (operation, stream, commit_id) = (operation.id, stream.clone(), commit_id.clone());
        self.grants.push(AcknowledgedGrant { operation, stream, commit_id });
    }

    /// Notes that a tenant stored an object.
    pub(crate) fn object_stored(
        &mut self,
        operation: &Operation,
        stored: &StoredObject,
        created_at: Timestamp,
        stored_at: Millis,
    ) {
        let key = source_key(operation.project, operation.file);
        let stream = StreamId::Video(project_id(operation.project), VideoId::of(&key));
        let (version_id, etag) = (stored.info.version_id.clone(), stored.info.etag.clone());
        let operation = operation.id;
        self.objects.push(TenantObject { operation, stream, version_id, etag, created_at, stored_at });
    }

    /// Notes that a command succeeded.
    pub(crate) fn command_acknowledged(&mut self, operation: &Operation, commit_id: &CommitId) {
        if matches!(operation.action, Action::Reprocess | Action::Update) {
            let key = source_key(operation.project, operation.file);
            let stream = StreamId::Video(project_id(operation.project), VideoId::of(&key));
            self.commands.push((stream, commit_id.clone()));
        }
    }

    /// Notes that `function` gets a payload that it cannot handle.
    pub(crate) fn cannot_be_processed(&mut self, function: &'static str, payload: &str) {
        self.unprocessable.push((function, payload.to_owned()));
    }

    /// Notes that no attempt could deliver an asynchronous event.
    pub(crate) fn event_given_up(&mut self, payload: &str) {
        self.given_up.insert(payload.to_owned());
    }

    /// Checks that a dead letter has its payload.
    pub(crate) fn dead_letter_stored(&mut self, dead_letter: &DeadLetter) {
        if dead_letter.payload.is_empty() {
            self.violated(format!("the dead letter {} has no payload", dead_letter.id));
        }
    }

    /// Checks that two launches for one attempt differ in their tokens only.
    pub(crate) fn same_parameters(&mut self, one: &Job, other: &Job) {
        let other = Job { client_token: one.client_token.clone(), ..other.clone() };
        if *one != other {
            self.violated(format!(
                "one attempt was launched with different parameters: {one:?} and {other:?}"
            ));
        }
    }

    /// The object that was stored last for the video of this stream: without versions, all others were replaced.
    pub(super) fn last_object(&self, stream: &StreamId) -> Option<&TenantObject> {
        self.objects.iter().rfind(|object| object.stream == *stream)
    }

    /// Whether the source of the job, which has no version, was replaced.
    pub(super) fn is_replaced(&self, job: &Job) -> bool {
        let last = self.last_object(&job.stream());
        job.version_id.is_none() && last.is_some_and(|last| Some(&last.etag) != job.etag.as_ref())
    }

    /// The operation that uploaded the file with this entity tag.
    pub(super) fn operation_of(etag: &str) -> Option<usize> {
        let digits = etag.trim_start_matches(|c: char| !c.is_ascii_digit());
        digits.split('-').next()?.parse().ok()
    }

    /// What happens to attempts at the job's file.
    pub(crate) fn quality_of(&self, job: &Job) -> Quality {
        let operation = job.etag.as_deref().and_then(Self::operation_of);
        operation.and_then(|operation| self.uploads.get(&operation)).map_or(Quality::Good, |it| it.quality)
    }

    /// Whether the attempt may be lost without a fault of the file: fewer than three attempts of a generation may be.
    pub(crate) fn may_lose_attempt(&self, job: &Job, expiring: usize) -> bool {
        let lost = self.lost_attempts.get(&(job.video_id.clone(), job.generation)).copied().unwrap_or(0);
        lost + expiring < crate::plan::MAX_EXPIRING
    }

    /// Notes that the worker `task` ends, or is about to record the end of its attempt.
    pub(crate) fn task_ends(&mut self, task: &str) {
        self.ending_tasks.insert(task.to_owned());
    }

    /// Whether the worker `task` goes on with its attempt.
    pub(super) fn is_working(&self, task: &str) -> bool {
        !self.ending_tasks.contains(task)
    }

    /// Notes that an attempt is lost.
    pub(crate) fn attempt_lost(&mut self, job: &Job) {
        *self.lost_attempts.entry((job.video_id.clone(), job.generation)).or_default() += 1;
    }
}

impl VideoFacts {
    pub(super) fn new(fold: Video) -> Self {
        Self {
            fold,
            is_unreadable: false,
            generation: 0,
            attempt: 0,
            state: AttemptState::None,
            is_occupied: false,
            accepted: None,
            versions: BTreeMap::new(),
            unversioned: BTreeSet::new(),
            deleted: BTreeMap::new(),
            deleted_generation: 0,
            has_unremoved_outputs: false,
            used_grants: BTreeSet::new(),
            overwriting: BTreeMap::new(),
            dispatched: BTreeMap::new(),
            ended_at: None,
            last_heartbeat_at: Timestamp::default(),
            published: None,
            unpublished: None,
            voided: BTreeSet::new(),
        }
    }
}
