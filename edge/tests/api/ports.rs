//! The ports in memory: a log, and everything that follows from it, without delay.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use streamio_edge::commands::{CommandError, Commands};
use streamio_edge::directory::{Directory, DirectoryError, Known, Tenant, Tolerance};
use streamio_edge::journal::{Journal, JournalError, Recorded};
use streamio_edge::outbound::{Outbound, OutboundError};
use streamio_edge::sign::key::{HashAlgorithm, KeyPairs, KeySignature, UrlSigner, UrlSignerError};
use streamio_edge::views::{Page, VideoFilter, ViewError, Views};
use streamio_events::api_key::KeyHash;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::fault::FaultyLog;
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{self, Decision, Refusal};
use streamio_events::video::{Video, VideoStatus, decide_and_append, fold_as_of, load};

/// A log whose calls fail when a test says so.
pub(crate) type Log = Arc<FaultyLog<MemoryLog>>;

/// The API keys that there are.
#[derive(Default)]
pub(crate) struct Tenants {
    pub(crate) keys: HashMap<KeyHash, Tenant>,
    pub(crate) is_down: AtomicBool,
    pub(crate) lookups: AtomicUsize,
}

#[async_trait]
impl Directory for Tenants {
    async fn lookup(
        &self,
        key: &KeyHash,
        _: Timestamp,
        _: Tolerance,
    ) -> Result<Option<Known>, DirectoryError> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) {
            return Err(DirectoryError("the directory's password is hunter2".into()));
        }
        Ok(self.keys.get(key).cloned().map(Known::from))
    }
}

/// Records straight into the log.
pub(crate) struct LogJournal {
    pub(crate) log: Log,
    /// What a queue is: it accepts, and knows nothing of what it accepted before.
    pub(crate) forgets: AtomicBool,
    /// [`Journal::recall`] finds nothing, as when the same request comes twice at the same time.
    pub(crate) recalls_nothing: AtomicBool,
}

#[async_trait]
impl Journal for LogJournal {
    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        let appended = self
            .log
            .append(stream, Expected::Any, commit)
            .await
            .map_err(|error| JournalError(error.into()))?;
        if appended.repeated && !self.forgets.load(Ordering::Relaxed) {
            return Ok(Recorded::Repeated(appended.commit.events[0].clone()));
        }
        Ok(Recorded::New)
    }

    async fn recall(&self, stream: &StreamId, id: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        let commits = self.log.read_to_end(stream, 1).await.map_err(|error| JournalError(error.into()))?;
        if self.forgets.load(Ordering::Relaxed) || self.recalls_nothing.load(Ordering::Relaxed) {
            return Ok(None);
        }
        Ok(commits.into_iter().find(|commit| commit.id == *id).map(|commit| commit.events[0].clone()))
    }
}

/// Reads the log anew for each question.
pub(crate) struct LogViews(pub(crate) Log);

impl LogViews {
    async fn commits(&self, project: &ProjectId) -> Result<Vec<Commit>, ViewError> {
        let mut commits = self.0.scan_to_end().await.map_err(|error| ViewError::Unavailable(error.into()))?;
        commits.retain(|commit| commit.stream.project_id() == project);
        Ok(commits)
    }

    async fn video_commits(&self, project: &ProjectId, id: &VideoId) -> Result<Vec<Commit>, ViewError> {
        let stream = StreamId::Video(project.clone(), id.clone());
        self.0.read_to_end(&stream, 1).await.map_err(|error| ViewError::Unavailable(error.into()))
    }
}

fn page<T>(all: Vec<T>, after: Option<&str>, limit: usize, always: bool) -> Result<Page<T>, ViewError> {
    let start: usize = after.map_or(Ok(0), |text| text.parse().map_err(|_| ViewError::InvalidCursor))?;
    let total = all.len();
    let data: Vec<T> = all.into_iter().skip(start).take(limit).collect();
    let end = start + data.len();
    let next = (end < total || always && !data.is_empty()).then(|| end.to_string());
    Ok(Page { data, next })
}

#[async_trait]
impl Views for LogViews {
    async fn video(&self, project: &ProjectId, id: &VideoId) -> Result<Option<VideoStatus>, ViewError> {
        let commits = self.video_commits(project, id).await?;
        let video = Video::fold(project.clone(), id.clone(), &commits)
            .map_err(|error| ViewError::Unavailable(error.into()))?;
        Ok(video.status())
    }

    async fn video_as_of(
        &self,
        project: &ProjectId,
        id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, ViewError> {
        let commits = self.video_commits(project, id).await?;
        let video = fold_as_of(project.clone(), id.clone(), &commits, at)
            .map_err(|error| ViewError::Unavailable(error.into()))?;
        Ok(video.and_then(|video| video.status()))
    }

    async fn list(
        &self,
        project: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, ViewError> {
        let mut videos: Vec<VideoStatus> = Vec::new();
        for commit in self.commits(project).await? {
            if let StreamId::Video(project, id) = &commit.stream
                && !videos.iter().any(|video| video.video_id == *id)
            {
                videos.extend(self.video(project, id).await?);
            }
        }
        videos.retain(|video| filter.state.is_none_or(|state| video.state == state));
        videos.sort_by_key(|video| std::cmp::Reverse(video.created_at));
        page(videos, after, limit, false)
    }

    async fn video_events(
        &self,
        project: &ProjectId,
        id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, ViewError> {
        let commits = self.video_commits(project, id).await?;
        let events: Vec<CloudEvent> = commits.iter().flat_map(CloudEvent::all).collect();
        if events.is_empty() { Ok(None) } else { page(events, after, limit, false).map(Some) }
    }

    async fn feed(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<CloudEvent>, ViewError> {
        let events = self.commits(project).await?.iter().flat_map(CloudEvent::all).collect();
        page(events, after, limit, true)
    }
}

/// Decides on the log itself.
pub(crate) struct LogCommands {
    pub(crate) log: Log,
    pub(crate) now: Arc<Mutex<Timestamp>>,
}

impl LogCommands {
    async fn command(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
        decide: impl Fn(&Video) -> Result<Option<Decision>, Refusal> + Send + Sync,
    ) -> Result<VideoStatus, CommandError> {
        let unavailable = |error| CommandError::Unavailable(Box::new(error));
        let current = load(&*self.log, project, video).await.map_err(unavailable)?;
        let commits = self.log.read_to_end(&current.stream(), 1).await;
        let commits = commits.map_err(|error| CommandError::Unavailable(error.into()))?;
        if commits.iter().any(|known| known.id == *commit) {
            return current.status().ok_or(CommandError::NotFound);
        }
        let now = *self.now.lock().unwrap();
        let decided = decide_and_append(&*self.log, project, video, now, |video| {
            Ok(decide(video)?.map(|decision| Decision { commit_id: commit.clone(), ..decision }))
        });
        let decided = decided.await.map_err(unavailable)?.map_err(|refusal| match refusal {
            Refusal::NotFound => CommandError::NotFound,
            Refusal::Conflict(reason) => CommandError::Conflict(reason),
        })?;
        decided.video.status().ok_or(CommandError::NotFound)
    }
}

#[async_trait]
impl Commands for LogCommands {
    async fn delete(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError> {
        self.command(project, video, commit, decide::delete).await
    }

    async fn reprocess(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError> {
        self.command(project, video, commit, |video| decide::reprocess(video).map(Some)).await
    }
}

/// An object store that begins multipart uploads.
#[derive(Default)]
pub(crate) struct ObjectStore {
    pub(crate) requests: Mutex<Vec<(Method, String)>>,
    /// Answered in place of an upload id.
    pub(crate) answers: Mutex<Option<Response<Bytes>>>,
    pub(crate) is_down: AtomicBool,
}

impl ObjectStore {
    /// The methods and URIs of all requests so far.
    pub(crate) fn seen(&self) -> Vec<(Method, String)> {
        self.requests.lock().unwrap().clone()
    }
}

#[async_trait]
impl Outbound for ObjectStore {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        assert!(request.uri().scheme().is_some() && request.uri().authority().is_some(), "{}", request.uri());
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
        let mut requests = self.requests.lock().unwrap();
        requests.push((request.method().clone(), request.uri().to_string()));
        if self.is_down.load(Ordering::Relaxed) {
            return Err(OutboundError("no route to the store".into()));
        }
        if let Some(answer) = self.answers.lock().unwrap().take() {
            return Ok(answer);
        }
        let began = requests.iter().filter(|(method, _)| method == Method::POST).count();
        Ok(Response::new(Bytes::from(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><InitiateMultipartUploadResult><Bucket>streamio-raw</Bucket>\
             <Key>key</Key><UploadId>VXBsb2FkIElELTE.{began}</UploadId></InitiateMultipartUploadResult>"
        ))))
    }
}

/// Signs with keys at hand.
pub(crate) struct Signer {
    pub(crate) pairs: KeyPairs,
    pub(crate) is_down: AtomicBool,
}

#[async_trait]
impl UrlSigner for Signer {
    async fn sign(&self, hash: HashAlgorithm, message: &[u8]) -> Result<KeySignature, UrlSignerError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(UrlSignerError("the signer's pin is 0000".into()));
        }
        self.pairs.sign(hash, message).await
    }
}
