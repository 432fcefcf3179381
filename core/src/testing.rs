//! A region in memory whose ports record their calls, for tests.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::ports::AdapterError;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};
use crate::ports::object_store::{ObjectInfo, ObjectStore};
use crate::ports::task_launcher::{LaunchError, Launched, TaskLauncher};
use crate::ports::view_store::{VideoPage, VideoRow, ViewStore, ViewStoreError};
use crate::reactions::react::{Ports, ReactError, react};
use crate::reactions::sweep::{Bounds, Swept, sweep};
use crate::uploads::{ObjectNotice, Received, receive};
use crate::views::status::refresh;
use async_trait::async_trait;
use streamio_events::commit::{Head, NewCommit};
use streamio_events::event::{EventBody, ProjectCreated, ProjectSuspended, RecordedEvent, UploadGranted};
use streamio_events::id::{CommitId, GrantId, KeyId, ProjectId, VideoId};
use streamio_events::job::Job;
use streamio_events::log::{
    AppendError, Appended, EventLog, EventLogExt as _, Expected, LogPage, Part, ReadError, StreamPage,
};
use streamio_events::media::{MediaSource, Outputs, VideoError};
use streamio_events::memory::MemoryLog;
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{self, Decision, Start};
use streamio_events::video::{Policy, Video, VideoState, decide_and_append, load};

pub const BOUNDS: Bounds = Bounds { videos: 100, time: Duration::from_mins(1) };

pub struct World {
    pub log: MemoryLog,
    pub launcher: Arc<Launcher>,
    pub objects: Arc<Objects>,
    pub store: Arc<MemoryViews>,
    pub letters: Arc<Letters>,
    pub policy: Policy,
    pub now: Timestamp,
    tasks: Mutex<u32>,
}

pub fn key(name: &str) -> SourceKey {
    format!("projects/acme/{name}").parse().unwrap()
}

pub fn ids(name: &str) -> (ProjectId, VideoId) {
    ("acme".parse().unwrap(), VideoId::of(&key(name)))
}

pub fn stream(name: &str) -> StreamId {
    let (project_id, video_id) = ids(name);
    StreamId::Video(project_id, video_id)
}

pub fn notice(name: &str, sequencer: &str) -> ObjectNotice {
    ObjectNotice {
        key: format!("projects/acme/{name}"),
        bytes: 10,
        etag: format!("etag-{sequencer}"),
        sequencer: sequencer.to_owned(),
        created_at: Timestamp::default(),
    }
}

pub fn source() -> MediaSource {
    MediaSource {
        duration_seconds: 2.0,
        width: None,
        height: None,
        rotation: 0,
        frame_rate: None,
        video_codec: None,
        audio_codec: Some("aac".to_owned()),
        bytes: 10,
    }
}

pub fn outputs(name: &str) -> Outputs {
    let processed = key(name).processed();
    Outputs { hls_key: processed.hls_master(), poster_key: None, mp4_key: processed, renditions: vec![] }
}

impl World {
    pub fn new() -> Self {
        let log = MemoryLog::new();
        Self {
            launcher: Arc::new(Launcher { log: log.clone(), ..Launcher::default() }),
            log,
            objects: Arc::default(),
            store: Arc::default(),
            letters: Arc::default(),
            policy: Policy::new("raw", "processed"),
            now: Timestamp::from_unix_seconds(1_800_000_000),
            tasks: Mutex::new(0),
        }
    }

    pub async fn with_project() -> Self {
        let world = Self::new();
        world.create_project().await;
        world
    }

    pub fn ports(&self) -> Ports<'_> {
        Ports { log: &self.log, launcher: &*self.launcher, objects: &*self.objects, policy: &self.policy }
    }

    pub fn wait(&mut self, duration: Duration) {
        self.now = self.now.plus(duration);
    }

    pub async fn create_project(&self) {
        self.append_to_project("created", ProjectCreated { name: None }.into()).await;
    }

    pub async fn suspend_project(&self) {
        self.append_to_project("suspended", ProjectSuspended { reason: None }.into()).await;
    }

    async fn append_to_project(&self, cause: &str, body: EventBody) {
        let stream = StreamId::Project("acme".parse().unwrap());
        let commit = NewCommit::new(CommitId::derived_from(&[cause]), self.now, [body]);
        self.log.append(&stream, Expected::Any, commit).await.unwrap();
    }

    pub async fn append(&self, name: &str, expected: Expected, body: EventBody) {
        let cause = format!("{body:?}");
        let commit = NewCommit::new(CommitId::derived_from(&[&cause]), self.now, [body]);
        self.log.append(&stream(name), expected, commit).await.unwrap();
    }

    /// A known event whose data is not what its type has.
    pub async fn poison(&self, name: &str) {
        let data = serde_json::json!({ "generation": "one" });
        let event = RecordedEvent {
            kind: "processing.started".to_owned(),
            version: 1,
            at: self.now,
            data,
            fact: None,
        };
        let id = CommitId::derived_from(&["poison"]);
        let commit = NewCommit { id, events: vec![event], recorded_at: self.now };
        self.log.append(&stream(name), Expected::Any, commit).await.unwrap();
    }

    pub async fn grant(&self, name: &str, lifetime: Duration) {
        let granted = UploadGranted {
            grant_id: GrantId::derived_from(&[name.as_bytes()]),
            s3_key: key(name),
            expires_at: self.now.plus(lifetime),
            key_id: KeyId::of_hash(&[0; 32]),
            content_type: None,
            size: None,
            sha256: None,
            overwrite: true,
            multipart: false,
            metadata: std::collections::BTreeMap::new(),
        };
        self.append(name, Expected::Any, granted.into()).await;
    }

    pub async fn receive(&self, notice: ObjectNotice) -> Received {
        receive(self.ports().uploads(), self.now, notice).await.unwrap()
    }

    pub async fn react(&self, name: &str) -> Result<Video, ReactError> {
        let (project_id, video_id) = ids(name);
        react(self.ports(), self.now, &project_id, &video_id).await
    }

    pub async fn refresh(&self, name: &str) -> VideoRow {
        let (project_id, video_id) = ids(name);
        refresh(&self.log, &*self.store, &self.policy, &project_id, &video_id).await.unwrap()
    }

    pub async fn sweep(&self) -> Swept {
        sweep(self.ports(), &*self.store, &|| self.now, BOUNDS).await.unwrap()
    }

    pub async fn video(&self, name: &str) -> Video {
        let (project_id, video_id) = ids(name);
        load(&self.log, &project_id, &video_id).await.unwrap()
    }

    pub async fn events(&self, name: &str) -> Vec<RecordedEvent> {
        let commits = self.log.read_to_end(&stream(name), 1).await.unwrap();
        commits.into_iter().flat_map(|commit| commit.events).collect()
    }

    /// Uploads if nothing is there, dispatches, and lets a worker take the attempt.
    pub async fn start(&self, name: &str) -> Job {
        if self.video(name).await.generation == 0 {
            self.receive(notice(name, "01")).await;
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

    pub async fn fail(&self, job: &Job, error: VideoError) {
        let name = job.s3_key.rest().to_owned();
        self.decide(&name, |video| decide::fail(video, job, video.worker().unwrap(), error.clone()).unwrap())
            .await;
    }

    pub async fn complete(&self, job: &Job) {
        let name = job.s3_key.rest().to_owned();
        self.decide(&name, |video| {
            decide::complete(video, job, video.worker().unwrap(), source(), outputs(&name)).unwrap()
        })
        .await;
    }

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

#[derive(Default)]
pub struct Launcher {
    launched: Mutex<Vec<Job>>,
    fails: Mutex<Option<Fails>>,
    /// Workers of launches whose answers were lost; each has ended when the launch is made again.
    earlier: Mutex<VecDeque<Earlier>>,
    log: MemoryLog,
}

/// How a worker ended.
#[derive(Clone, Copy)]
pub enum Earlier {
    BeforeItBegan,
    WithItsWorkDone,
}

enum Fails {
    Once,
    UntilPutRight,
}

impl Launcher {
    pub fn launched(&self) -> Vec<Job> {
        self.launched.lock().unwrap().clone()
    }

    pub fn fail_next(&self) {
        *self.fails.lock().unwrap() = Some(Fails::Once);
    }

    pub fn find_ended(&self, earlier: impl IntoIterator<Item = Earlier>) {
        self.earlier.lock().unwrap().extend(earlier);
    }

    /// As the worker does it.
    async fn work(&self, job: &Job, task: &str) {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let started = decide_and_append(&self.log, &job.project_id, &job.video_id, now, |video| {
            match decide::start(video, job, task) {
                Start::Run(decision) => Ok::<_, std::convert::Infallible>(Some(decision)),
                other => panic!("{other:?}"),
            }
        });
        let Ok(_) = started.await.unwrap();
        let completed = decide_and_append(&self.log, &job.project_id, &job.video_id, now, |video| {
            decide::complete(video, job, task, source(), outputs(job.s3_key.rest())).map(Some)
        });
        completed.await.unwrap().unwrap();
    }

    pub fn refuse_next(&self) {
        *self.fails.lock().unwrap() = Some(Fails::UntilPutRight);
    }
}

#[async_trait]
impl TaskLauncher for Launcher {
    async fn launch(&self, job: &Job) -> Result<Launched, LaunchError> {
        match self.fails.lock().unwrap().take() {
            Some(Fails::Once) => return Err(LaunchError::Unavailable("no capacity".into())),
            Some(Fails::UntilPutRight) => {
                let source = "AccessDeniedException".into();
                return Err(LaunchError::Refused { fix: "give the function its right", source });
            }
            None => {}
        }
        self.launched.lock().unwrap().push(job.clone());
        let earlier = self.earlier.lock().unwrap().pop_front();
        let Some(earlier) = earlier else { return Ok(Launched::Present) };
        let task = format!("ended under {}", job.client_token);
        if let Earlier::WithItsWorkDone = earlier {
            self.work(job, &task).await;
        }
        Ok(Launched::Ended { task })
    }
}

type Then = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub struct Objects {
    standing: Mutex<HashMap<String, ObjectInfo>>,
    looks: Mutex<usize>,
    removed: Mutex<Vec<String>>,
    fails: Mutex<bool>,
    after_look: Mutex<Option<(String, Then)>>,
}

impl Objects {
    pub fn removed(&self) -> Vec<String> {
        self.removed.lock().unwrap().clone()
    }

    pub fn fail_next(&self) {
        *self.fails.lock().unwrap() = true;
    }

    /// Puts the object of which `notice(name, sequencer)` tells.
    pub fn put(&self, name: &str, sequencer: &str) {
        let ObjectNotice { key, bytes, etag, created_at: last_modified, .. } = notice(name, sequencer);
        self.put_at(&format!("raw/{key}"), ObjectInfo { bytes, etag, last_modified });
    }

    /// Puts the same bytes there again.
    pub fn put_again(&self, name: &str, sequencer: &str, last_modified: Timestamp) {
        let ObjectNotice { key, bytes, etag, .. } = notice(name, sequencer);
        self.put_at(&format!("raw/{key}"), ObjectInfo { bytes, etag, last_modified });
    }

    fn put_at(&self, place: &str, info: ObjectInfo) {
        self.standing.lock().unwrap().insert(place.to_owned(), info);
    }

    /// Puts what a video's stable keys hold.
    pub fn point(&self, name: &str, etag: &str) {
        let stable = key(name).processed();
        for pointer in [stable.hls_master(), stable.clone(), stable.poster()] {
            self.put_processed(pointer.as_str(), etag);
        }
    }

    pub fn put_processed(&self, key: &str, etag: &str) {
        let info = ObjectInfo { bytes: 1, etag: etag.to_owned(), last_modified: Timestamp::default() };
        self.put_at(&format!("processed/{key}"), info);
    }

    /// What stands in `bucket`.
    pub fn standing(&self, bucket: &str) -> Vec<String> {
        let standing = self.standing.lock().unwrap();
        let mut keys: Vec<String> = standing
            .keys()
            .filter_map(|place| place.strip_prefix(&format!("{bucket}/")))
            .map(str::to_owned)
            .collect();
        keys.sort();
        keys
    }

    /// Runs `then` right after the next look at `place`.
    pub fn after_look(&self, place: &str, then: impl FnOnce() + Send + 'static) {
        *self.after_look.lock().unwrap() = Some((place.to_owned(), Box::new(then)));
    }

    pub fn looks(&self) -> usize {
        *self.looks.lock().unwrap()
    }

    fn answer(&self) -> Result<(), AdapterError> {
        if std::mem::take(&mut *self.fails.lock().unwrap()) {
            return Err("no answer".into());
        }
        Ok(())
    }

    fn remove(&self, what: String) -> Result<(), AdapterError> {
        self.answer()?;
        self.removed.lock().unwrap().push(what);
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectInfo>, AdapterError> {
        self.answer()?;
        *self.looks.lock().unwrap() += 1;
        let place = format!("{bucket}/{key}");
        let seen = self.standing.lock().unwrap().get(&place).cloned();
        let then = self.after_look.lock().unwrap().take_if(|(of, _)| *of == place);
        if let Some((_, then)) = then {
            then();
        }
        Ok(seen)
    }

    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError> {
        let place = format!("{bucket}/{key}");
        self.remove(format!("{place} if {etag}"))?;
        let mut standing = self.standing.lock().unwrap();
        if standing.get(&place).is_some_and(|info| info.etag == etag) {
            standing.remove(&place);
        }
        Ok(())
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AdapterError> {
        self.answer()?;
        let keys = self.standing(bucket);
        let under = keys.iter().filter_map(|key| key.strip_prefix(prefix)?.split_once('/'));
        let folders: BTreeSet<String> = under.map(|(folder, _)| format!("{prefix}{folder}/")).collect();
        Ok(folders.into_iter().collect())
    }

    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError> {
        self.remove(format!("{bucket}/{prefix}*"))?;
        self.standing.lock().unwrap().retain(|place, _| !place.starts_with(&format!("{bucket}/{prefix}")));
        Ok(())
    }
}

/// Dead letters.
#[derive(Default)]
pub struct Letters(Mutex<Vec<DeadLetter>>);

impl Letters {
    pub fn kept(&self) -> Vec<DeadLetter> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl DeadLetters for Letters {
    async fn keep(&self, letter: DeadLetter) -> Result<(), AdapterError> {
        self.0.lock().unwrap().push(letter);
        Ok(())
    }
}

#[derive(Default)]
pub struct MemoryViews {
    rows: Mutex<HashMap<VideoId, VideoRow>>,
}

#[async_trait]
impl ViewStore for MemoryViews {
    async fn get(&self, _: &ProjectId, video_id: &VideoId) -> Result<Option<VideoRow>, ViewStoreError> {
        Ok(self.rows.lock().unwrap().get(video_id).cloned())
    }

    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError> {
        let mut rows = self.rows.lock().unwrap();
        let newer = rows.get(&row.video.video_id).is_none_or(|known| known.video.version < row.video.version);
        if newer {
            rows.insert(row.video.video_id.clone(), row.clone());
        }
        Ok(newer)
    }

    async fn list(
        &self,
        _: &ProjectId,
        _: Option<VideoState>,
        _: Option<&str>,
        _: usize,
    ) -> Result<VideoPage, ViewStoreError> {
        Err(ViewStoreError::Unavailable("reactions have no need of lists".into()))
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<VideoRow>, ViewStoreError> {
        let rows = self.rows.lock().unwrap();
        let mut due: Vec<_> =
            rows.values().filter(|row| row.due_at.is_some_and(|at| at <= now)).cloned().collect();
        due.sort_by_key(|row| row.due_at);
        due.truncate(limit);
        Ok(due)
    }

    async fn defer(&self, row: &VideoRow, until: Option<Timestamp>) -> Result<(), ViewStoreError> {
        if let Some(known) = self.rows.lock().unwrap().get_mut(&row.video.video_id)
            && known.video.version == row.video.version
        {
            known.due_at = until;
        }
        Ok(())
    }
}

/// A log that never answers.
pub struct AwayLog;

#[async_trait]
impl EventLog for AwayLog {
    async fn append(&self, _: &StreamId, _: Expected, _: NewCommit) -> Result<Appended, AppendError> {
        Err(AppendError::Unavailable("away".into()))
    }

    async fn head(&self, _: &StreamId) -> Result<Head, ReadError> {
        Err(ReadError::Unavailable("away".into()))
    }

    async fn read(&self, _: &StreamId, _: u64, _: usize) -> Result<StreamPage, ReadError> {
        Err(ReadError::Unavailable("away".into()))
    }

    async fn scan(&self, _: Part, _: Option<&str>, _: usize) -> Result<LogPage, ReadError> {
        Err(ReadError::Unavailable("away".into()))
    }
}
