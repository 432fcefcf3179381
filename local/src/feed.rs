//! Consumers of the log's feed: each reads all changes in order from where it left off, hands over the videos they are
//! about, and remembers how far it is. What a crash interrupts is handed over once more.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use streamio_core::delivery::quarantine;
use streamio_events::commit::Commit;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::ChangesError;
use streamio_events::retryable::Retryable;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::view_store::SqliteViewStore;

/// How many changes are read at a time.
const BATCH: usize = 512;

/// The pause after a failure that may pass, doubled up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One consumer.
pub(crate) struct Consumer {
    /// Under this name the position is remembered.
    pub(crate) name: &'static str,
    /// Whether a commit is worth handing over its video.
    pub(crate) wants: fn(&Commit) -> bool,
    /// The log.
    pub(crate) log: SqliteLog,
    /// Remembers positions.
    pub(crate) store: SqliteViewStore,
}

impl Consumer {
    /// Hands over the video of every change to `handle`, once for all of a batch's changes of that video, until `stop`.
    pub(crate) async fn run<E, F>(&self, stop: CancellationToken, handle: impl Fn(ProjectId, VideoId) -> F)
    where
        E: Retryable,
        F: Future<Output = Result<(), E>>,
    {
        let mut changed = self.log.watch();
        let work = async {
            loop {
                changed.borrow_and_update();
                if !self.pass(&handle).await && changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    /// Hands over one batch. Answers whether there was anything to read, so that more may be there.
    pub(crate) async fn pass<E, F>(&self, handle: &impl Fn(ProjectId, VideoId) -> F) -> bool
    where
        E: Retryable,
        F: Future<Output = Result<(), E>>,
    {
        let position = patiently(self.name, || self.store.cursor(self.name)).await;
        let (changes, end) = self.changes(position).await;
        if end == position {
            return false;
        }
        // In the order of their first changes.
        let mut seen: HashSet<StreamId> = HashSet::new();
        for commit in changes.iter().filter(|commit| (self.wants)(commit)) {
            if let StreamId::Video(project_id, video_id) = &commit.stream
                && seen.insert(commit.stream.clone())
            {
                self.hand_over(commit, project_id, video_id, handle).await;
            }
        }
        patiently(self.name, || self.store.set_cursor(self.name, end)).await;
        true
    }

    async fn hand_over<E, F>(
        &self,
        commit: &Commit,
        project_id: &ProjectId,
        video_id: &VideoId,
        handle: &impl Fn(ProjectId, VideoId) -> F,
    ) where
        E: Retryable,
        F: Future<Output = Result<(), E>>,
    {
        let mut pause = SHORTEST_PAUSE;
        loop {
            match handle(project_id.clone(), video_id.clone()).await {
                Ok(()) => return,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(consumer = self.name, video.id = %video_id, error = %error, "a change could not be handled and is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    return quarantine::report(&self.log, clock::now(), &commit.stream, commit.first, &error)
                        .await;
                }
            }
        }
    }

    /// The changes after `position`, and the position to go on from. A damaged change is passed over, loudly.
    async fn changes(&self, position: u64) -> (Vec<Commit>, u64) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            match self.log.changes_after(position, BATCH).await {
                Ok(changes) => {
                    let end = changes.last().map_or(position, |(position, _)| *position);
                    return (changes.into_iter().map(|(_, commit)| commit).collect(), end);
                }
                Err(ChangesError::Damaged { position, stream, reason }) => {
                    tracing::error!(
                        consumer = self.name,
                        stream,
                        position,
                        reason,
                        "a damaged commit is passed over"
                    );
                    return (Vec::new(), position);
                }
                Err(error) => {
                    tracing::error!(consumer = self.name, error = %error, "the log cannot be read and is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// Whether the only news of `commit` is that its stream is quarantined: handing that over would only fail again.
pub(crate) fn is_quarantine(commit: &Commit) -> bool {
    commit.events.iter().all(|event| event.kind == "stream.quarantined")
}

async fn patiently<T, E, F>(consumer: &str, work: impl Fn() -> F) -> T
where
    E: std::error::Error,
    F: Future<Output = Result<T, E>>,
{
    let mut pause = SHORTEST_PAUSE;
    loop {
        match work().await {
            Ok(value) => return value,
            Err(error) => {
                tracing::error!(consumer, error = %error, "the cursor cannot be used and is tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}
