//! Views computed anew from the whole log, for an operator: into a table that was lost, or beside one that is doubted.
//!
//! The log is scanned in parts that run side by side. A rebuild may run beside the projection of new commits, be broken off
//! and be begun again: what is there in the same or a higher version stays.

use std::collections::{BTreeSet, HashMap};

use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use streamio_events::commit::Commit;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::{EventLog, EventLogExt as _, Part, ReadError};
use streamio_events::project::Project;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{Policy, Video, VideoStoreError, catch_up};

use crate::ports::pending_replications::{PendingReplicationError, PendingReplications};
use crate::ports::project_feed::{FeedWriteError, FeedWriter};
use crate::ports::tenant_store::{TenantStore, TenantStoreError};
use crate::ports::view_store::{VideoRow, ViewStore, ViewStoreError};
use crate::views::directory::tenants_of;

/// How many commits of a part are read at a time.
const PAGE: usize = 1024;

/// How many videos of a part are held in memory, a few kilobytes each. A log that keeps the commits of a stream together
/// makes each of them be written about once, and one that does not as often as it is left and come back to.
const MOST_HELD: usize = 2048;

/// How many rows of a part are written at a time.
const CONCURRENT_PUTS: usize = 16;

/// What a rebuild did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Commits read.
    pub commits: u64,
    /// Streams that can be read only in part, and whose views are of that part.
    pub unreadable: BTreeSet<StreamId>,
}

impl Rebuilt {
    fn and(mut self, other: Self) -> Self {
        self.commits += other.commits;
        self.unreadable.extend(other.unreadable);
        self
    }
}

/// Why a rebuild broke off.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The log.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// The store of status views.
    #[error(transparent)]
    Store(#[from] ViewStoreError),
    /// The directory.
    #[error(transparent)]
    Tenants(#[from] TenantStoreError),
    /// The list of what the edge lacks.
    #[error(transparent)]
    Pending(#[from] PendingReplicationError),
    /// The feed.
    #[error(transparent)]
    Feed(#[from] FeedWriteError),
}

impl Retryable for RebuildError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_retryable(),
            Self::Store(_) | Self::Tenants(_) | Self::Pending(_) => true,
            Self::Feed(error) => error.is_retryable(),
        }
    }
}

/// Folds all videos of the log into `store`, in `parts` (at least 1) parts.
pub async fn videos(
    log: &dyn EventLog,
    store: &dyn ViewStore,
    policy: &Policy,
    parts: u32,
) -> Result<Rebuilt, RebuildError> {
    let parts = parts_of(parts).map(|part| async move {
        let mut folding = Folding { log, store, policy, held: HashMap::new(), rebuilt: Rebuilt::default() };
        let mut pages = Pages::new(log, part);
        while let Some(commits) = pages.next().await? {
            for commit in &commits {
                folding.apply(commit).await?;
            }
            if folding.held.len() >= MOST_HELD {
                folding.put_all().await?;
            }
        }
        folding.put_all().await?;
        Ok(folding.rebuilt)
    });
    together(parts).await
}

/// Puts the records of all API keys of the log into `store`, in `parts` (at least 1) parts, and has the sweep bring all of
/// them to the edge: what it lacked was noted in the table that was lost.
pub async fn tenants(
    log: &dyn EventLog,
    store: &dyn TenantStore,
    pending: &dyn PendingReplications,
    parts: u32,
) -> Result<Rebuilt, RebuildError> {
    let parts = parts_of(parts).map(|part| async move {
        let mut rebuilt = Rebuilt::default();
        let mut projects = BTreeSet::new();
        let mut pages = Pages::new(log, part);
        while let Some(commits) = pages.next().await? {
            rebuilt.commits += commits.len() as u64;
            projects.extend(commits.into_iter().filter_map(|commit| match commit.stream {
                StreamId::Project(project_id) => Some(project_id),
                StreamId::Video(..) | StreamId::Grants { .. } => None,
            }));
        }
        for project_id in projects {
            let stream = StreamId::Project(project_id.clone());
            let mut project = Project::new(project_id.clone());
            for commit in log.read_to_end(&stream, 1).await? {
                if let Err(error) = project.apply_commit(&commit) {
                    tracing::error!(stream = %stream, error = %error, "a project's keys are rebuilt in part only");
                    rebuilt.unreadable.insert(stream.clone());
                    break;
                }
            }
            for (hash, tenant) in tenants_of(&project) {
                store.put(&hash, &tenant).await?;
            }
            pending.note(&project_id, project.version).await?;
        }
        Ok(rebuilt)
    });
    together(parts).await
}

/// Gives all commits of the log that have no place in their project's feed one, and counts their usage, in `parts` (at
/// least 1) parts. Places that were lost are given anew: in the order of the scan, which is each stream's own and among
/// streams none, so that cursors into the feed from before have no meaning any more.
pub async fn feeds(
    log: &dyn EventLog,
    feed: &dyn FeedWriter,
    parts: u32,
    clock: &(dyn Fn() -> Timestamp + Sync),
) -> Result<Rebuilt, RebuildError> {
    let parts = parts_of(parts).map(|part| async move {
        let mut rebuilt = Rebuilt::default();
        let mut pages = Pages::new(log, part);
        while let Some(commits) = pages.next().await? {
            for commit in &commits {
                feed.project(commit, clock()).await?;
                rebuilt.commits += 1;
            }
        }
        Ok(rebuilt)
    });
    together(parts).await
}

fn parts_of(parts: u32) -> impl Iterator<Item = Part> {
    let parts = parts.max(1);
    (0..parts).filter_map(move |index| Part::new(index, parts))
}

async fn together(
    parts: impl Iterator<Item = impl Future<Output = Result<Rebuilt, RebuildError>>>,
) -> Result<Rebuilt, RebuildError> {
    Ok(try_join_all(parts).await?.into_iter().fold(Rebuilt::default(), Rebuilt::and))
}

/// The pages of one part.
struct Pages<'a> {
    log: &'a dyn EventLog,
    part: Part,
    cursor: Option<String>,
    over: bool,
}

impl<'a> Pages<'a> {
    fn new(log: &'a dyn EventLog, part: Part) -> Self {
        Self { log, part, cursor: None, over: false }
    }

    async fn next(&mut self) -> Result<Option<Vec<Commit>>, ReadError> {
        if self.over {
            return Ok(None);
        }
        let page = self.log.scan(self.part, self.cursor.as_deref(), PAGE).await?;
        self.over = page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.commits))
    }
}

/// Videos of one part on their way into the store.
struct Folding<'a> {
    log: &'a dyn EventLog,
    store: &'a dyn ViewStore,
    policy: &'a Policy,
    held: HashMap<(ProjectId, VideoId), Video>,
    rebuilt: Rebuilt,
}

impl Folding<'_> {
    async fn apply(&mut self, commit: &Commit) -> Result<(), RebuildError> {
        self.rebuilt.commits += 1;
        let StreamId::Video(project_id, video_id) = &commit.stream else { return Ok(()) };
        if self.rebuilt.unreadable.contains(&commit.stream) {
            return Ok(());
        }
        let ids = (project_id.clone(), video_id.clone());
        if !self.held.contains_key(&ids) {
            let video = self.begin(project_id, video_id, commit.first).await?;
            self.held.insert(ids.clone(), video);
        }
        let Some(video) = self.held.get_mut(&ids) else { return Ok(()) };
        let applied = if commit.first > video.version + 1 {
            // The scan may have missed what was appended beside it.
            catch_up(self.log, video).await
        } else {
            video.apply_commit(commit).map_err(VideoStoreError::from)
        };
        match applied {
            Ok(()) => Ok(()),
            Err(VideoStoreError::Read(error)) => Err(error.into()),
            Err(error) => {
                tracing::error!(stream = %commit.stream, error = %error, "a video is rebuilt in part only");
                self.rebuilt.unreadable.insert(commit.stream.clone());
                Ok(())
            }
        }
    }

    /// The video as it was left when it was last written, for one that comes with version `first`.
    async fn begin(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        first: u64,
    ) -> Result<Video, ViewStoreError> {
        let stored = if first == 1 { None } else { self.store.get(project_id, video_id).await? };
        Ok(stored.map_or_else(|| Video::new(project_id.clone(), video_id.clone()), |row| row.video))
    }

    async fn put_all(&mut self) -> Result<(), ViewStoreError> {
        let (store, policy) = (self.store, self.policy);
        let held = std::mem::take(&mut self.held);
        let puts = held
            .into_values()
            .filter(|video| video.version > 0)
            .map(|video| async move { store.put(&VideoRow::of(video, policy)).await });
        let puts: Vec<_> = puts.collect();
        stream::iter(puts).buffer_unordered(CONCURRENT_PUTS).try_for_each(|_| async { Ok(()) }).await
    }
}
