//! Views and cursors in SQLite. All of it is derived from the log: the file can be deleted and is then rebuilt.

pub(crate) mod columns;
mod consumers;
pub(crate) mod dead_letters;
mod deliveries;
mod delivery_list;
mod due;
pub(crate) mod file;
mod list;
mod replays;
mod rows;
mod usage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, params};
use streamio_core::ports::AdapterError;
use streamio_core::ports::view_store::{Urgency, VideoPage, VideoRow, ViewStore, ViewStoreError};
use streamio_events::home::VideoFilter;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::Part;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoStatus;
use tokio::sync::Notify;

use self::columns::VideoColumns;
pub(crate) use self::consumers::Undelivered;
pub(crate) use self::file::open_existing;
#[cfg(feature = "testing")]
pub(crate) use self::list::reprint_cursor;
use self::list::{Cursor, list_name, list_query};
pub(crate) use self::usage::CountedUsage;

const SCHEMA: &str = "
    CREATE TABLE videos (
        project_id TEXT NOT NULL,
        video_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        state TEXT,
        s3_key TEXT,
        created_at INTEGER NOT NULL,
        due_at INTEGER,
        urgency INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        row TEXT NOT NULL,
        PRIMARY KEY (project_id, video_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX videos_by_age ON videos (project_id, created_at DESC, video_id DESC);
    CREATE INDEX videos_by_state ON videos (project_id, state, created_at DESC, video_id DESC);
    CREATE INDEX videos_in_progress ON videos (state) WHERE state IN ('uploaded', 'processing');
    CREATE INDEX videos_due ON videos (urgency, due_at) WHERE due_at IS NOT NULL;
    CREATE TABLE video_metadata (
        project_id TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        video_id TEXT NOT NULL,
        PRIMARY KEY (project_id, name, value, created_at DESC, video_id DESC)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX video_metadata_by_video ON video_metadata (project_id, video_id);
    CREATE TABLE usage (
        project_id TEXT NOT NULL,
        day TEXT NOT NULL,
        name TEXT NOT NULL,
        amount INTEGER NOT NULL,
        PRIMARY KEY (project_id, day, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cursors (consumer TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE pending (
        consumer TEXT NOT NULL,
        stream TEXT NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (consumer, stream)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE dead_letters (
        function TEXT NOT NULL,
        id TEXT NOT NULL,
        at TEXT NOT NULL,
        reason TEXT NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (function, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE redrives (
        function TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (function, id)
    ) STRICT, WITHOUT ROWID;
";

/// The view store of the one-machine platform. Cheap to clone.
///
/// Whatever cannot be read in it is computed again from the log: a row that is unreadable counts as absent, and a damaged file is replaced by
/// an empty one, after which the consumers read the log from its beginning.
#[derive(Clone)]
pub(crate) struct SqliteViewStore {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    /// The videos whose rows could not be read, to be folded again.
    unreadable: Arc<Mutex<BTreeSet<(ProjectId, VideoId)>>>,
    /// Notified when a webhook delivery is written that is due at some time.
    due_deliveries: Arc<Notify>,
    /// Notified when an active job that sends messages again is written.
    active_replays: Arc<Notify>,
}

impl SqliteViewStore {
    /// Opens the file at `path`. A file that has another version or cannot be used is replaced by an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self, AdapterError> {
        let connection = file::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            connection: Arc::new(Mutex::new(connection)),
            unreadable: Arc::default(),
            due_deliveries: Arc::default(),
            active_replays: Arc::default(),
        })
    }

    /// The videos that are uploaded or being processed.
    pub(crate) async fn in_progress(&self) -> Result<Vec<VideoRow>, ViewStoreError> {
        let query = "SELECT project_id, video_id, row FROM videos WHERE state IN ('uploaded', 'processing')";
        Ok(self.rows(query, vec![]).await?.into_iter().flatten().collect())
    }

    /// Runs a query on a blocking thread. If it finds the file damaged, the file is replaced by an empty one.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ViewStoreError> {
        let (connection, path) = (Arc::clone(&self.connection), self.path.clone());
        let result = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let result = work(&connection);
            if let Err(error) = &result
                && file::is_damage(error)
            {
                file::replace(&path, &mut connection, error);
            }
            result
        });
        result
            .await
            .map_err(|error| ViewStoreError::Unavailable(error.into()))?
            .map_err(|error| ViewStoreError::Unavailable(error.into()))
    }
}

/// Converts a version or position to SQLite's integer; larger values become the largest one.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[async_trait]
impl ViewStore for SqliteViewStore {
    async fn get(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoRow>, ViewStoreError> {
        self.row(project_id, video_id).await
    }

    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError> {
        let columns = VideoColumns::of(row).map_err(|error| ViewStoreError::Unavailable(error.into()))?;
        self.run(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let changed = columns.write(&transaction)?;
            transaction.commit()?;
            Ok(changed)
        })
        .await
    }

    async fn list(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<VideoPage, ViewStoreError> {
        let list = list_name(project_id, filter.state);
        let after = after.map(|text| Cursor::parse(&list, text)).transpose()?.unwrap_or(Cursor::NEWEST);
        let (query, parameters) = list_query(project_id, filter, after, limit);
        let rows = self.rows(query, parameters).await?;
        let more = rows.len() > limit;
        let videos: Vec<VideoStatus> = rows.into_iter().take(limit).filter_map(|row| row?.status).collect();
        let next = videos.last().filter(|_| more).map(|last| Cursor::of(last).text(&list));
        Ok(VideoPage { videos, next })
    }

    async fn due(
        &self,
        part: Part,
        urgency: Urgency,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<VideoRow>, ViewStoreError> {
        let query = "SELECT project_id, video_id, row FROM videos
            WHERE urgency = ?1 AND due_at <= ?2 AND slot % ?3 = ?4 ORDER BY due_at LIMIT ?5";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (urgency, of, index) = (urgency as i64, i64::from(part.of()), i64::from(part.index()));
        let parameters =
            vec![urgency.into(), now.unix_millis().into(), of.into(), index.into(), limit.into()];
        let rows = self.rows(query, parameters).await?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn defer(&self, row: &VideoRow, until: Option<Timestamp>) -> Result<(), ViewStoreError> {
        let (project_id, video_id) = (row.video.project_id.to_string(), row.video.video_id.to_string());
        let (version, until) = (integer(row.video.version), until.map(Timestamp::unix_millis));
        self.run(move |connection| {
            let update =
                "UPDATE videos SET due_at = ?4 WHERE project_id = ?1 AND video_id = ?2 AND version = ?3";
            connection
                .prepare_cached(update)?
                .execute(params![project_id, video_id, version, until])
                .map(drop)
        })
        .await
    }
}

#[cfg(test)]
mod tests;
