//! Implementations of the ports in memory: a log, and everything that is computed from it, without delay.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use streamio_edge::home::HomeJournal;
use streamio_edge::ports::directory::{Directory, DirectoryError, FoundTenant, Tolerance};
use streamio_edge::ports::journal::{Journal, JournalError, Receipt, Recorded};
use streamio_edge::ports::outbound::{Outbound, OutboundError};
use streamio_edge::sign::key::{HashAlgorithm, KeyPairs, KeySignature, UrlSigner, UrlSignerError};
use streamio_events::api_key::KeyHash;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::day::Day;
use streamio_events::event::{EventBody, RecordedEvent, UnreadableEvent, VideoUpdated};
use streamio_events::fault::FaultyLog;
use streamio_events::home::{
    self, AuditCall, AuditResult, Commanded, FeedPage, Home, HomeError, Page, VideoFilter, WebhookCall,
    WebhookOutcome,
};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::limits::{Limit, ProjectLimits};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::memory::MemoryLog;
use streamio_events::metadata::MetadataPatch;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::usage::{Usage, UsageReport};
use streamio_events::video::decide::{self, Decision, Refusal};
use streamio_events::video::{Video, VideoStatus, decide_and_append, fold_as_of};

use crate::cdn::Cdn;
use crate::config::CDN;
use crate::{audit_home, webhook_home};

/// A log whose calls fail when a test says so.
pub(crate) type Log = Arc<FaultyLog<MemoryLog>>;

/// The existing API keys.
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
    ) -> Result<Option<FoundTenant>, DirectoryError> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) {
            return Err(DirectoryError("the directory's password is hunter2".into()));
        }
        Ok(self.keys.get(key).cloned().map(FoundTenant::from))
    }
}

/// The journal that records in the home region, with the limits that other journals have.
pub(crate) struct TestJournal {
    pub(crate) home: Arc<HomeJournal>,
    /// Accepts facts without knowing which it accepted before, like a queue.
    pub(crate) forgets: AtomicBool,
    /// [`Journal::recall`] finds nothing, as for two concurrent copies of a request.
    pub(crate) recalls_nothing: AtomicBool,
    /// Records a fact only when its receipt is awaited.
    pub(crate) is_slow: AtomicBool,
}

/// Records the fact that it holds.
struct TestReceipt {
    home: Arc<HomeJournal>,
    stream: StreamId,
    commit: NewCommit,
}

#[async_trait]
impl Receipt for TestReceipt {
    async fn accepted(self: Box<Self>) -> Result<(), JournalError> {
        self.home.record(&self.stream, self.commit).await.map(drop)
    }
}

#[async_trait]
impl Journal for TestJournal {
    fn has_memory(&self) -> bool {
        !self.forgets.load(Ordering::Relaxed)
    }

    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        if self.is_slow.load(Ordering::Relaxed) {
            let (home, stream) = (Arc::clone(&self.home), stream.clone());
            return Ok(Recorded::Pending(Box::new(TestReceipt { home, stream, commit })));
        }
        let recorded = self.home.record(stream, commit).await?;
        Ok(if self.forgets.load(Ordering::Relaxed) { Recorded::New } else { recorded })
    }

    async fn recall(&self, stream: &StreamId, id: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        let recalled = self.home.recall(stream, id).await?;
        let is_hidden = self.forgets.load(Ordering::Relaxed) || self.recalls_nothing.load(Ordering::Relaxed);
        Ok(recalled.filter(|_| !is_hidden))
    }
}

/// A home region that reads the whole log for each call and has no other state.
pub(crate) struct LogHome {
    pub(crate) log: Log,
    pub(crate) now: Arc<Mutex<Timestamp>>,
}

impl LogHome {
    async fn commits(&self, project_id: &ProjectId) -> Result<Vec<Commit>, HomeError> {
        let mut commits = self.log.scan_to_end().await.map_err(HomeError::because_of)?;
        commits.retain(|commit| commit.stream.project_id() == project_id);
        Ok(commits)
    }

    async fn video_commits(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Vec<Commit>, HomeError> {
        let stream = StreamId::Video(project_id.clone(), video_id.clone());
        self.log.read_to_end(&stream, 1).await.map_err(HomeError::because_of)
    }

    async fn command(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
        decide: impl Fn(&Video) -> Result<Option<Decision>, Refusal> + Send + Sync,
    ) -> Result<Commanded, HomeError> {
        let commits = self.video_commits(project_id, video_id).await?;
        if commits.iter().any(|commit| commit.id == *commit_id) {
            let status = fold(project_id, video_id, &commits)?.status().ok_or(HomeError::NotFound)?;
            return Ok(Commanded { status, repeated: true });
        }
        let now = *self.now.lock().unwrap();
        let decided = decide_and_append(&*self.log, project_id, video_id, now, |video| {
            Ok(decide(video)?.map(|decision| Decision { commit_id: commit_id.clone(), ..decision }))
        });
        let decided = decided.await.map_err(HomeError::because_of)?.map_err(|refusal| match refusal {
            Refusal::NotFound => HomeError::NotFound,
            Refusal::Conflict(text) => HomeError::Conflict { text },
        })?;
        let status = decided.video.status().ok_or(HomeError::NotFound)?;
        Ok(Commanded { status, repeated: false })
    }
}

fn fold(project_id: &ProjectId, video_id: &VideoId, commits: &[Commit]) -> Result<Video, HomeError> {
    Video::fold(project_id.clone(), video_id.clone(), commits).map_err(failed)
}

fn failed(error: UnreadableEvent) -> HomeError {
    HomeError::Failed { source: error.into() }
}

/// The page after the cursor `after`, a position in `all`.
fn page<T>(all: Vec<T>, after: Option<&str>, limit: usize) -> Result<Page<T>, HomeError> {
    let start: usize = after.map_or(Ok(0), |text| text.parse().map_err(|_| HomeError::InvalidCursor))?;
    let total = all.len();
    let data: Vec<T> = all.into_iter().skip(start).take(limit).collect();
    let end = start + data.len();
    let next = (end < total).then(|| end.to_string());
    Ok(Page { data, next })
}

#[async_trait]
impl Home for LogHome {
    async fn tenant(&self, _: &KeyHash) -> Result<Option<Tenant>, HomeError> {
        unreachable!("the API looks up keys in its directory, which is `Tenants` in these tests")
    }

    async fn video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoStatus>, HomeError> {
        let commits = self.video_commits(project_id, video_id).await?;
        Ok(fold(project_id, video_id, &commits)?.status())
    }

    async fn video_as_of(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, HomeError> {
        let commits = self.video_commits(project_id, video_id).await?;
        let video = fold_as_of(project_id.clone(), video_id.clone(), &commits, at).map_err(failed)?;
        Ok(video.and_then(|video| video.status()))
    }

    async fn list_videos(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, HomeError> {
        let mut videos: Vec<VideoStatus> = Vec::new();
        for commit in self.commits(project_id).await? {
            if let StreamId::Video(project_id, video_id) = &commit.stream
                && !videos.iter().any(|video| video.video_id == *video_id)
            {
                videos.extend(self.video(project_id, video_id).await?);
            }
        }
        videos.retain(|video| filter.passes(video));
        videos.sort_by_key(|video| std::cmp::Reverse(video.created_at));
        page(videos, after, limit)
    }

    async fn video_events(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, HomeError> {
        let commits = self.video_commits(project_id, video_id).await?;
        let events: Vec<CloudEvent> = commits.iter().flat_map(CloudEvent::all).collect();
        if events.is_empty() { Ok(None) } else { page(events, after, limit).map(Some) }
    }

    async fn feed(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FeedPage, HomeError> {
        let events = self.commits(project_id).await?.iter().flat_map(CloudEvent::all).collect();
        let Page { data, next } = page(events, after, limit)?;
        let start: usize = after.map_or(0, |text| text.parse().unwrap());
        let position = (start + data.len() > 0).then(|| (start + data.len()).to_string());
        Ok(FeedPage { data, position, more: next.is_some() })
    }

    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<UsageReport, HomeError> {
        let usage = Usage::of(&self.commits(project_id).await?, first, last);
        let limits = ProjectLimits {
            concurrent_encodes: Limit::AtMost(4),
            stored_bytes: Limit::AtMost(500_000_000_000),
            ..ProjectLimits::UNLIMITED
        };
        Ok(UsageReport { usage, limits })
    }

    async fn delete_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
    ) -> Result<Commanded, HomeError> {
        self.command(project_id, video_id, commit_id, decide::delete).await
    }

    async fn update_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
        metadata: &MetadataPatch,
    ) -> Result<Commanded, HomeError> {
        let same = EventBody::from(VideoUpdated { metadata: metadata.clone() });
        let commits = self.video_commits(project_id, video_id).await?;
        let recorded = commits.iter().find(|commit| commit.id == *commit_id);
        if recorded.is_some_and(|commit| commit.events[0].body().unwrap() != same) {
            return Err(HomeError::KeyReused);
        }
        self.command(project_id, video_id, commit_id, |video| decide::update(video, metadata)).await
    }

    async fn reprocess_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
    ) -> Result<Commanded, HomeError> {
        self.command(project_id, video_id, commit_id, |video| decide::reprocess(video).map(Some)).await
    }

    async fn webhooks(
        &self,
        project_id: &ProjectId,
        call: &WebhookCall,
    ) -> Result<WebhookOutcome, HomeError> {
        webhook_home::answer(project_id, call, *self.now.lock().unwrap())
    }

    async fn audit(&self, project_id: &ProjectId, call: &AuditCall) -> Result<AuditResult, HomeError> {
        audit_home::answer(project_id, call)
    }

    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<home::Recorded, HomeError> {
        let appended = self.log.append(stream, Expected::Any, commit).await.map_err(HomeError::because_of)?;
        Ok(if appended.repeated {
            home::Recorded::Repeated(appended.commit.events[0].clone())
        } else {
            home::Recorded::New
        })
    }

    async fn recall(
        &self,
        stream: &StreamId,
        commit_id: &CommitId,
    ) -> Result<Option<RecordedEvent>, HomeError> {
        let commits = self.log.read_to_end(stream, 1).await.map_err(HomeError::because_of)?;
        let commit = commits.into_iter().find(|commit| commit.id == *commit_id);
        Ok(commit.map(|commit| commit.events[0].clone()))
    }
}

/// An object store that creates multipart uploads and records the requests.
#[derive(Default)]
pub(crate) struct ObjectStore {
    requests: Mutex<Vec<(Method, String)>>,
    /// Answers the requests to the CDN.
    pub(crate) cdn: Cdn,
    /// The next response in place of an upload id.
    pub(crate) next_response: Mutex<Option<Response<Bytes>>>,
    pub(crate) is_down: AtomicBool,
}

impl ObjectStore {
    pub(crate) fn with(cdn: Cdn) -> Self {
        Self { cdn, ..Self::default() }
    }

    /// The methods and URIs of all requests so far.
    pub(crate) fn requests(&self) -> Vec<(Method, String)> {
        self.requests.lock().unwrap().clone()
    }
}

#[async_trait]
impl Outbound for ObjectStore {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        assert!(request.uri().scheme().is_some() && request.uri().authority().is_some(), "{}", request.uri());
        if request.uri().to_string().starts_with(CDN) {
            return self.cdn.answer(&request);
        }
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
        let mut requests = self.requests.lock().unwrap();
        requests.push((request.method().clone(), request.uri().to_string()));
        if self.is_down.load(Ordering::Relaxed) {
            return Err(OutboundError("no route to the store".into()));
        }
        if let Some(response) = self.next_response.lock().unwrap().take() {
            return Ok(response);
        }
        let created = requests.iter().filter(|(method, _)| method == Method::POST).count();
        Ok(Response::new(Bytes::from(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><InitiateMultipartUploadResult><Bucket>streamio-raw</Bucket>\
             <Key>key</Key><UploadId>VXBsb2FkIElELTE.{created}</UploadId></InitiateMultipartUploadResult>"
        ))))
    }
}

/// Signs with keys in memory.
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
