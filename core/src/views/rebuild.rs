//! Rebuilds views from the whole log, for an operator: into an empty table after a loss, or into another one for comparison.
//!
//! The log is scanned in parts, concurrently. A rebuild may run during the projection of new commits, and may be stopped and started
//! again: a stored row with the same or a higher version is kept.

mod deliveries;

use std::collections::{BTreeMap, BTreeSet};

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

pub use self::deliveries::deliveries;
use crate::ports::pending_replications::{PendingReplicationError, PendingReplications};
use crate::ports::project_feed::{FeedPlaces, PlaceError};
use crate::ports::tenant_store::{TenantStore, TenantStoreError};
use crate::ports::view_store::{VideoRow, ViewStore, ViewStoreError};
use crate::views::directory::tenants_of;
use crate::webhooks::view::DeliveryViewError;

/// How many commits of a part are read at a time.
const PAGE: usize = 1024;

/// How many videos of a part are folded in memory before they are written, a few kilobytes each. A video is written again if later
/// commits of its stream follow after a write. Logs that scan stream by stream rarely need that.
const MAX_BUFFERED: usize = 2048;

/// How many rows of a part are written at a time.
const CONCURRENT_PUTS: usize = 16;

/// The result of a rebuild.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// How many commits were read.
    pub commits: u64,
    /// Streams that could be read only up to some version. Their views are of that version.
    pub unreadable: BTreeSet<StreamId>,
}

impl RebuildReport {
    fn merge(mut self, other: Self) -> Self {
        self.commits += other.commits;
        self.unreadable.extend(other.unreadable);
        self
    }
}

/// Why a rebuild failed.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// The view store failed.
    #[error(transparent)]
    Store(#[from] ViewStoreError),
    /// The directory of tenants failed.
    #[error(transparent)]
    Tenants(#[from] TenantStoreError),
    /// The list of pending replications failed.
    #[error(transparent)]
    Pending(#[from] PendingReplicationError),
    /// The places in the projects' feeds failed.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The view of a webhook delivery failed.
    #[error(transparent)]
    Delivery(#[from] DeliveryViewError),
}

impl Retryable for RebuildError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_retryable(),
            Self::Store(_) | Self::Tenants(_) | Self::Pending(_) => true,
            Self::Place(error) => error.is_retryable(),
            Self::Delivery(error) => error.is_retryable(),
        }
    }
}

/// Rebuilds the status views of all videos into `store`, in `parts` (at least 1) concurrent parts.
pub async fn videos(
    log: &dyn EventLog,
    store: &dyn ViewStore,
    policy: &Policy,
    parts: u32,
) -> Result<RebuildReport, RebuildError> {
    let parts = parts_of(parts).map(|part| async move {
        let mut rows =
            VideoRows { log, store, policy, buffered: BTreeMap::new(), report: RebuildReport::default() };
        let mut pages = Pages::new(log, part);
        while let Some(commits) = pages.next().await? {
            for commit in &commits {
                rows.apply(commit).await?;
            }
            if rows.buffered.len() >= MAX_BUFFERED {
                rows.write_all().await?;
            }
        }
        rows.write_all().await?;
        Ok(rows.report)
    });
    run_all(parts).await
}

/// Rebuilds the records of all API keys into `store`, in `parts` (at least 1) concurrent parts. Adds every project to `pending`, due
/// at `now`, so that the sweep replicates its keys to the edge: the table that was lost contained the list of pending replications.
pub async fn tenants(
    log: &dyn EventLog,
    store: &dyn TenantStore,
    pending: &dyn PendingReplications,
    parts: u32,
    now: Timestamp,
) -> Result<RebuildReport, RebuildError> {
    let parts = parts_of(parts).map(|part| async move {
        let mut report = RebuildReport::default();
        let mut projects = BTreeSet::new();
        let mut pages = Pages::new(log, part);
        while let Some(commits) = pages.next().await? {
            report.commits += commits.len() as u64;
            projects.extend(commits.into_iter().filter_map(|commit| match commit.stream {
                StreamId::Project(project_id) => Some(project_id),
                _ => None,
            }));
        }
        for project_id in projects {
            let stream = StreamId::Project(project_id.clone());
            let mut project = Project::new(project_id.clone());
            for commit in log.read_to_end(&stream, 1).await? {
                if let Err(error) = project.apply_commit(&commit) {
                    tracing::error!(stream = %stream, error = %error, "a project's keys are rebuilt only up to an unreadable event");
                    report.unreadable.insert(stream.clone());
                    break;
                }
            }
            for (hash, tenant) in tenants_of(&project) {
                store.put(&hash, &tenant).await?;
            }
            pending.add(&project_id, now).await?;
        }
        Ok(report)
    });
    run_all(parts).await
}

/// Gives all commits that have no place in their project's feed one, and counts their usage, in `parts` (at least 1) concurrent parts.
///
/// Commits get places in the order of the scan, which is the order of each stream but not an order among streams. After a loss of
/// the places, earlier positions of readers and the `seq` of earlier webhooks are therefore meaningless.
pub async fn feeds(
    log: &dyn EventLog,
    places: &dyn FeedPlaces,
    parts: u32,
) -> Result<RebuildReport, RebuildError> {
    let parts = parts_of(parts).map(|part| async move {
        let mut report = RebuildReport::default();
        let mut pages = Pages::new(log, part);
        while let Some(commits) = pages.next().await? {
            for commit in &commits {
                places.place(commit).await?;
                report.commits += 1;
            }
        }
        Ok(report)
    });
    run_all(parts).await
}

fn parts_of(parts: u32) -> impl Iterator<Item = Part> {
    let parts = parts.max(1);
    (0..parts).filter_map(move |index| Part::new(index, parts))
}

/// Runs all parts concurrently and adds up their reports.
async fn run_all(
    parts: impl Iterator<Item = impl Future<Output = Result<RebuildReport, RebuildError>>>,
) -> Result<RebuildReport, RebuildError> {
    Ok(try_join_all(parts).await?.into_iter().fold(RebuildReport::default(), RebuildReport::merge))
}

/// The pages of one part of the log.
struct Pages<'a> {
    log: &'a dyn EventLog,
    part: Part,
    cursor: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    fn new(log: &'a dyn EventLog, part: Part) -> Self {
        Self { log, part, cursor: None, ended: false }
    }

    async fn next(&mut self) -> Result<Option<Vec<Commit>>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        let page = self.log.scan(self.part, self.cursor.as_deref(), PAGE).await?;
        self.ended = page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.commits))
    }
}

/// Folds the videos of one part and writes them to the store.
struct VideoRows<'a> {
    log: &'a dyn EventLog,
    store: &'a dyn ViewStore,
    policy: &'a Policy,
    /// Ordered, so that the same log is written in the same order.
    buffered: BTreeMap<(ProjectId, VideoId), Video>,
    report: RebuildReport,
}

impl VideoRows<'_> {
    async fn apply(&mut self, commit: &Commit) -> Result<(), RebuildError> {
        self.report.commits += 1;
        let StreamId::Video(project_id, video_id) = &commit.stream else { return Ok(()) };
        if self.report.unreadable.contains(&commit.stream) {
            return Ok(());
        }
        let ids = (project_id.clone(), video_id.clone());
        if !self.buffered.contains_key(&ids) {
            let video = self.load(project_id, video_id, commit.first).await?;
            self.buffered.insert(ids.clone(), video);
        }
        let Some(video) = self.buffered.get_mut(&ids) else { return Ok(()) };
        let applied = if commit.first > video.version + 1 {
            // The scan may have missed commits that were appended during it.
            catch_up(self.log, video).await
        } else {
            video.apply_commit(commit).map_err(VideoStoreError::from)
        };
        match applied {
            Ok(()) => Ok(()),
            Err(VideoStoreError::Read(error)) => Err(error.into()),
            Err(error) => {
                tracing::error!(stream = %commit.stream, error = %error, "a video is rebuilt only up to an unreadable event");
                self.report.unreadable.insert(commit.stream.clone());
                Ok(())
            }
        }
    }

    /// Returns the stored state of a video whose next commit has the version `first`.
    async fn load(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        first: u64,
    ) -> Result<Video, ViewStoreError> {
        let stored = if first == 1 { None } else { self.store.get(project_id, video_id).await? };
        Ok(stored.map_or_else(|| Video::new(project_id.clone(), video_id.clone()), |row| row.video))
    }

    async fn write_all(&mut self) -> Result<(), ViewStoreError> {
        let (store, policy) = (self.store, self.policy);
        let buffered = std::mem::take(&mut self.buffered);
        let puts = buffered
            .into_values()
            .filter(|video| video.version > 0)
            .map(|video| async move { store.put(&VideoRow::of(video, policy)).await });
        let puts: Vec<_> = puts.collect();
        stream::iter(puts).buffer_unordered(CONCURRENT_PUTS).try_for_each(|_| async { Ok(()) }).await
    }
}
