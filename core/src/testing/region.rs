//! A region in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::{
    EventBody, KeyCreated, KeyRevoked, ProjectCreated, ProjectSuspended, ProjectUpdated, RecordedEvent,
    Scope, UploadGranted,
};
use streamio_events::id::{CommitId, GrantId, KeyId};
use streamio_events::job::Job;
use streamio_events::limits::OwnLimits;
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected, Part};
use streamio_events::media::{Outputs, VideoError};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{self, Decision, Start};
use streamio_events::video::{Policy, Video, decide_and_append, load};

use super::dead_letters::MemoryDeadLetters;
use super::encode_slots::MemorySlots;
use super::fixtures::{ids, key, notification, outputs, source, start_time, stream};
use super::object_store::MemoryObjects;
use super::task_launcher::RecordingLauncher;
use super::usage_store::CountedUsage;
use super::view_store::MemoryViews;
use crate::fold_cache::ProjectCache;
use crate::ports::view_store::VideoRow;
use crate::reactions::react::{Ports, ReactError, react};
use crate::reactions::sweep::{Bounds, SweepReport, sweep};
use crate::uploads::{CreatedObject, Received, receive};
use crate::views::status::refresh;

/// Limits of a sweep that no test reaches.
pub const BOUNDS: Bounds = Bounds { videos: 100, time: Duration::from_mins(1) };

/// A region in memory: a log, the application's ports, and a clock that tests advance.
///
/// Dropping it fails the test if a view row differs from the fold of its stream, if a worker was launched for a job that the log
/// does not contain, or if there is a dead letter that the test has not read.
pub struct TestRegion {
    /// The log.
    pub log: MemoryLog,
    /// Records launches.
    pub launcher: Arc<RecordingLauncher>,
    /// Objects of both buckets.
    pub objects: Arc<MemoryObjects>,
    /// Status views.
    pub store: Arc<MemoryViews>,
    /// Dead letters.
    pub dead_letters: Arc<MemoryDeadLetters>,
    /// What projects used.
    pub usage: CountedUsage,
    /// The slots of projects.
    pub slots: MemorySlots,
    /// The projects' settings and keys.
    pub projects: ProjectCache,
    /// The policy.
    pub policy: Policy,
    /// The current time.
    pub now: Timestamp,
    tasks: Mutex<u32>,
    granted: Mutex<HashSet<(String, String)>>,
}

impl TestRegion {
    /// An empty region.
    pub fn new() -> Self {
        let log = MemoryLog::new();
        Self {
            launcher: Arc::new(RecordingLauncher::new(log.clone())),
            usage: CountedUsage(log.clone()),
            log,
            objects: Arc::default(),
            store: Arc::default(),
            dead_letters: Arc::default(),
            slots: MemorySlots::default(),
            projects: ProjectCache::default(),
            policy: Policy::new("raw", "processed"),
            now: start_time(),
            tasks: Mutex::new(0),
            granted: Mutex::default(),
        }
    }

    /// A region with the project `acme`.
    pub async fn with_project() -> Self {
        let region = Self::new();
        region.create_project().await;
        region
    }

    /// Returns the ports of reactions.
    pub fn ports(&self) -> Ports<'_> {
        Ports {
            log: &self.log,
            launcher: &*self.launcher,
            objects: &*self.objects,
            usage: &self.usage,
            slots: Some(&self.slots),
            projects: &self.projects,
            policy: &self.policy,
        }
    }

    /// Advances the clock.
    pub fn wait(&mut self, duration: Duration) {
        self.now = self.now.plus(duration);
    }

    /// Creates the project `acme`.
    pub async fn create_project(&self) {
        self.append_to_project("created", ProjectCreated { name: None }.into()).await;
    }

    /// Suspends the project `acme`.
    pub async fn suspend_project(&self) {
        self.append_to_project("suspended", ProjectSuspended { reason: None }.into()).await;
    }

    /// Gives the project `acme` a name.
    pub async fn rename_project(&self, name: &str) {
        let updated = ProjectUpdated { name: Some(name.to_owned()), allow_truncated: None, limits: None };
        self.append_to_project(&format!("name {name}"), updated.into()).await;
    }

    /// Sets whether the project `acme` accepts sources of which a part is missing.
    pub async fn allow_truncated(&self, allow_truncated: bool) {
        let updated = ProjectUpdated { name: None, allow_truncated: Some(allow_truncated), limits: None };
        self.append_to_project(&format!("truncated {allow_truncated}"), updated.into()).await;
    }

    /// Sets the limits of the project `acme`.
    pub async fn limit_project(&self, limits: OwnLimits) {
        let cause = format!("limits {limits:?}");
        let updated = ProjectUpdated { name: None, allow_truncated: None, limits: Some(limits) };
        self.append_to_project(&cause, updated.into()).await;
    }

    async fn append_to_project(&self, cause: &str, body: EventBody) {
        let stream = StreamId::Project("acme".parse().unwrap());
        let commit = NewCommit::new(CommitId::derived_from(&[cause]), self.now, [body]);
        self.log.append(&stream, Expected::Any, commit).await.unwrap();
    }

    /// Appends an event to the stream of `name`.
    pub async fn append(&self, name: &str, expected: Expected, body: EventBody) {
        let cause = format!("{body:?}");
        let commit = NewCommit::new(CommitId::derived_from(&[&cause]), self.now, [body]);
        self.log.append(&stream(name), expected, commit).await.unwrap();
    }

    /// Appends an event of a known type whose data cannot be read.
    pub async fn poison(&self, name: &str) {
        let data = serde_json::json!({ "generation": "one" });
        self.append_unreadable(&stream(name), "processing.started", data).await;
    }

    /// Appends an event of a known type whose data cannot be read to the stream of the project `acme`.
    pub async fn poison_project(&self) {
        let data = serde_json::json!({ "allowTruncated": "perhaps" });
        let stream = StreamId::Project("acme".parse().unwrap());
        self.append_unreadable(&stream, "project.updated", data).await;
    }

    /// Appends an event of a known type whose data cannot be read to the stream of the webhook endpoints of `acme`.
    pub async fn poison_webhooks(&self) {
        let data = serde_json::json!({ "webhookId": 7 });
        let stream = StreamId::Webhooks("acme".parse().unwrap());
        self.append_unreadable(&stream, "webhook.updated", data).await;
    }

    async fn append_unreadable(&self, stream: &StreamId, kind: &str, data: serde_json::Value) {
        let event = RecordedEvent { kind: kind.to_owned(), version: 1, at: self.now, data, fact: None };
        let id = CommitId::derived_from(&["poison"]);
        let commit = NewCommit { id, events: vec![event], recorded_at: self.now };
        self.log.append(stream, Expected::Any, commit).await.unwrap();
    }

    /// Records an upload grant for `name`, issued now.
    pub async fn grant(&self, name: &str, lifetime: Duration) -> GrantId {
        self.record_grant(self.now, grant(name, self.now.plus(lifetime))).await
    }

    /// Records an upload grant that was issued at `at`, and returns its id.
    pub async fn record_grant(&self, at: Timestamp, mut granted: UploadGranted) -> GrantId {
        let stream = stream(granted.s3_key.rest());
        // Another region may share the log.
        let number = self.log.head(&stream).await.unwrap().version.to_string();
        granted.grant_id = GrantId::derived_from(&[granted.s3_key.as_str().as_bytes(), number.as_bytes()]);
        let id = CommitId::derived_from(&["granted", granted.s3_key.as_str(), &number]);
        let commit = NewCommit { id, events: vec![RecordedEvent::of(at, &granted)], recorded_at: self.now };
        self.log.append(&stream, Expected::Any, commit).await.unwrap();
        granted.grant_id
    }

    /// Records an event notification, and before it, once, a grant for that upload that may replace a video. Stores the object if
    /// nothing is stored under its key.
    pub async fn receive(&self, notification: CreatedObject) -> Received {
        let CreatedObject { key, sequencer, created_at, .. } = &notification;
        let is_new = self.granted.lock().unwrap().insert((key.clone(), sequencer.clone()));
        if is_new
            && let Some(name) = key.strip_prefix("projects/acme/")
            && key.parse::<streamio_events::object_key::SourceKey>().is_ok()
        {
            self.record_grant(*created_at, grant(name, created_at.plus(Duration::from_hours(1)))).await;
        }
        self.objects.put_first(&self.policy.raw_bucket, &notification);
        self.receive_only(notification).await
    }

    /// Records an event notification.
    pub async fn receive_only(&self, notification: CreatedObject) -> Received {
        receive(self.ports().uploads(), self.now, notification).await.unwrap()
    }

    /// Creates an API key and returns its id.
    pub async fn create_key(&self) -> KeyId {
        let hash = ApiKey::generate("test", [7; 32]).unwrap().hash();
        let created = KeyCreated {
            key_id: hash.key_id(),
            key_hash: hash,
            scopes: vec![Scope::Upload],
            label: None,
            expires_at: None,
        };
        let key_id = created.key_id.clone();
        self.append_to_project("key created", created.into()).await;
        key_id
    }

    /// Revokes an API key.
    pub async fn revoke_key(&self, key_id: &KeyId) {
        let revoked = KeyRevoked { key_id: key_id.clone(), reason: None };
        self.append_to_project("key revoked", revoked.into()).await;
    }

    /// Reacts to the video `name`.
    pub async fn react(&self, name: &str) -> Result<Video, ReactError> {
        let (project_id, video_id) = ids(name);
        react(self.ports(), self.now, &project_id, &video_id).await
    }

    /// Updates the row of the video `name`.
    pub async fn refresh(&self, name: &str) -> VideoRow {
        let (project_id, video_id) = ids(name);
        refresh(&self.log, &*self.store, &self.policy, &project_id, &video_id).await.unwrap()
    }

    /// Runs a sweep.
    pub async fn sweep(&self) -> SweepReport {
        sweep(self.ports(), &*self.store, &|| self.now, Part::WHOLE, BOUNDS).await.unwrap()
    }

    /// Returns the folded state of the video `name`.
    pub async fn video(&self, name: &str) -> Video {
        let (project_id, video_id) = ids(name);
        load(&self.log, &project_id, &video_id).await.unwrap()
    }

    /// Returns the events of the video `name`.
    pub async fn events(&self, name: &str) -> Vec<RecordedEvent> {
        let commits = self.log.read_to_end(&stream(name), 1).await.unwrap();
        commits.into_iter().flat_map(|commit| commit.events).collect()
    }

    /// Uploads `name` unless it has a generation, dispatches it, and records that a worker started. Returns the job.
    pub async fn start(&self, name: &str) -> Job {
        if self.video(name).await.generation == 0 {
            self.receive(notification(name, "01")).await;
        }
        let job = self.react(name).await.unwrap().job.unwrap();
        let task = {
            let mut tasks = self.tasks.lock().unwrap();
            *tasks += 1;
            format!("task-{tasks}")
        };
        self.decide(name, |video| match decide::start(video, &job, &task) {
            Start::Run(decision) => decision,
            other => panic!("{other:?}"),
        })
        .await;
        job
    }

    /// Records that the worker of `job` failed.
    pub async fn fail(&self, job: &Job, error: VideoError) {
        let name = job.s3_key.rest().to_owned();
        self.decide(&name, |video| decide::fail(video, job, video.worker().unwrap(), error.clone()).unwrap())
            .await;
    }

    /// Records that the worker of `job` completed.
    pub async fn complete(&self, job: &Job) {
        self.complete_with(job, &outputs(job.s3_key.rest())).await;
    }

    /// Records that the worker of `job` completed it with `outputs`.
    pub async fn complete_with(&self, job: &Job, outputs: &Outputs) {
        self.decide(job.s3_key.rest(), |video| {
            decide::complete(video, job, video.worker().unwrap(), source(), outputs.clone()).unwrap()
        })
        .await;
    }

    /// Records that the worker of `job` completed and published.
    pub async fn publish(&self, job: &Job) {
        self.complete(job).await;
        self.ready(job).await;
    }

    /// Records that the completed attempt of `job` is published.
    pub async fn ready(&self, job: &Job) {
        self.decide(job.s3_key.rest(), |video| decide::ready(video, job).unwrap()).await;
    }

    /// Requests that the source of the video `name` is processed again.
    pub async fn reprocess(&self, name: &str) {
        self.decide(name, |video| decide::reprocess(video).unwrap()).await;
    }

    /// Deletes the video `name`.
    pub async fn delete(&self, name: &str) {
        self.decide(name, |video| decide::delete(video).unwrap().unwrap()).await;
    }

    async fn decide(&self, name: &str, decision: impl Fn(&Video) -> Decision + Send + Sync) {
        let (project_id, video_id) = ids(name);
        let decided = decide_and_append(&self.log, &project_id, &video_id, self.now, |video| {
            Ok::<_, std::convert::Infallible>(Some(decision(video)))
        });
        let Ok(decided) = decided.await.unwrap();
        assert!(decided.appended);
    }
}

impl Default for TestRegion {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestRegion {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // The log in memory never waits.
        futures::executor::block_on(async {
            for row in self.store.rows() {
                let (stream, version) = (row.video.stream(), row.video.version);
                let mut commits = self.log.read_to_end(&stream, 1).await.expect("the log is in memory");
                commits.retain(|commit| commit.last() <= version);
                let (project_id, video_id) = (row.video.project_id.clone(), row.video.video_id.clone());
                let folded = Video::fold(project_id, video_id, &commits)
                    .expect("the row was folded from these commits");
                assert_eq!(row.video, folded, "a view row differs from the fold of its stream");
            }
            for job in self.launcher.launched() {
                let commits = self.log.read_to_end(&job.stream(), 1).await.expect("the log is in memory");
                let is_dispatched = commits.iter().flat_map(|commit| &commit.events).any(|event| {
                    matches!(event.body(), Ok(EventBody::ProcessingDispatched(dispatched))
                        if (dispatched.job.generation, dispatched.job.attempt) == (job.generation, job.attempt))
                });
                assert!(
                    is_dispatched,
                    "a worker was launched for a job that the log does not contain: {job:?}"
                );
            }
        });
        assert!(
            self.dead_letters.are_read(),
            "the test left dead letters unread: {:?}",
            self.dead_letters.kept()
        );
    }
}

/// Returns a grant for `name` that states nothing and may replace a video.
pub fn grant(name: &str, expires_at: Timestamp) -> UploadGranted {
    UploadGranted {
        grant_id: GrantId::derived_from(&[name.as_bytes()]),
        s3_key: key(name),
        expires_at,
        key_id: KeyId::of_hash(&[0; 32]),
        content_type: None,
        size: None,
        sha256: None,
        overwrite: true,
        multipart: false,
        upload_id: None,
        metadata: BTreeMap::new(),
    }
}
