//! Views and cursors in SQLite. All of it is derived from the log: the file can be deleted and is then rebuilt.

mod consumers;
mod list;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params, params_from_iter};
use streamio_core::ports::AdapterError;
use streamio_core::ports::view_store::{VideoPage, VideoRow, ViewStore, ViewStoreError};
use streamio_events::home::VideoFilter;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoStatus;

use self::list::{Cursor, list_name, list_query};

/// To be incremented when the tables or their content change. Views of another version are rebuilt.
const SCHEMA_VERSION: i64 = 5;

const SCHEMA: &str = "
    CREATE TABLE videos (
        project_id TEXT NOT NULL,
        video_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        state TEXT,
        s3_key TEXT,
        created_at INTEGER NOT NULL,
        due_at INTEGER,
        row TEXT NOT NULL,
        PRIMARY KEY (project_id, video_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX videos_by_age ON videos (project_id, created_at DESC, video_id DESC);
    CREATE INDEX videos_by_state ON videos (project_id, state, created_at DESC, video_id DESC);
    CREATE INDEX videos_in_progress ON videos (state) WHERE state IN ('uploaded', 'processing');
    CREATE INDEX videos_due ON videos (due_at) WHERE due_at IS NOT NULL;
    CREATE TABLE video_metadata (
        project_id TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        video_id TEXT NOT NULL,
        PRIMARY KEY (project_id, name, value, created_at DESC, video_id DESC)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX video_metadata_by_video ON video_metadata (project_id, video_id);
    CREATE TABLE cursors (consumer TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE pending (
        consumer TEXT NOT NULL,
        stream TEXT NOT NULL,
        position INTEGER NOT NULL,
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
";

/// The view store of the one-machine platform. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SqliteViewStore {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteViewStore {
    /// Opens the file at `path`. A file that has another version or cannot be used is replaced by an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self, AdapterError> {
        let connection = match open_current(path) {
            Ok(Some(connection)) => connection,
            Ok(None) => recreate(path)?,
            Err(error) => {
                tracing::warn!(error = %error, "the view store cannot be used; the views are rebuilt from the log");
                recreate(path)?
            }
        };
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// The videos that are uploaded or being processed.
    pub(crate) async fn in_progress(&self) -> Result<Vec<VideoRow>, ViewStoreError> {
        self.run(|connection| {
            let query = "SELECT row FROM videos WHERE state IN ('uploaded', 'processing')";
            connection.prepare_cached(query)?.query_map([], decode)?.collect()
        })
        .await
    }

    /// Runs a query on a blocking thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ViewStoreError> {
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || work(&connection.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
            .map_err(|error| ViewStoreError::Unavailable(error.into()))?
            .map_err(|error| ViewStoreError::Unavailable(error.into()))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // NORMAL, because what a power failure loses is read from the log again.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10000;",
    )?;
    Ok(connection)
}

/// Opens the file; `None` if it does not exist or has another version.
fn open_current(path: &Path) -> rusqlite::Result<Option<Connection>> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = connect(path)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok((version == SCHEMA_VERSION).then_some(connection))
}

/// Deletes the file and creates an empty view store.
fn recreate(path: &Path) -> Result<Connection, AdapterError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let connection = connect(path)?;
    connection.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"))?;
    Ok(connection)
}

/// Converts a version or position to SQLite's integer; larger values become the largest one.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn decode(row: &Row<'_>) -> rusqlite::Result<VideoRow> {
    let text: String = row.get(0)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

#[async_trait]
impl ViewStore for SqliteViewStore {
    async fn get(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoRow>, ViewStoreError> {
        let (project_id, video_id) = (project_id.to_string(), video_id.to_string());
        self.run(move |connection| {
            connection
                .prepare_cached("SELECT row FROM videos WHERE project_id = ?1 AND video_id = ?2")?
                .query_row([project_id, video_id], decode)
                .optional()
        })
        .await
    }

    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError> {
        let text = serde_json::to_string(row).map_err(|error| ViewStoreError::Unavailable(error.into()))?;
        let (project_id, video_id) = (row.video.project_id.to_string(), row.video.video_id.to_string());
        let state = row.status.as_ref().map(|status| status.state.as_str());
        let (version, created_at) = (integer(row.video.version), row.video.created_at.unix_millis());
        let due_at = row.due_at.map(Timestamp::unix_millis);
        let s3_key = row.status.as_ref().map(|status| status.s3_key.to_string());
        let metadata = row.status.as_ref().map(|status| status.metadata.clone()).unwrap_or_default();
        self.run(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let upsert = "
                INSERT INTO videos VALUES (:project, :video, :version, :state, :key, :created, :due, :row)
                ON CONFLICT DO UPDATE SET version = excluded.version, state = excluded.state,
                    s3_key = excluded.s3_key, created_at = excluded.created_at, due_at = excluded.due_at, row = excluded.row
                WHERE excluded.version > videos.version";
            let changed = transaction.prepare_cached(upsert)?.execute(named_params! {
                ":project": project_id, ":video": video_id, ":version": version, ":state": state,
                ":key": s3_key, ":created": created_at, ":due": due_at, ":row": text,
            })?;
            if changed > 0 {
                let delete = "DELETE FROM video_metadata WHERE project_id = ?1 AND video_id = ?2";
                transaction.prepare_cached(delete)?.execute([&project_id, &video_id])?;
                let insert = "INSERT INTO video_metadata VALUES (?1, ?2, ?3, ?4, ?5)";
                for (name, value) in metadata {
                    let entry = params![project_id, name, value, created_at, video_id];
                    transaction.prepare_cached(insert)?.execute(entry)?;
                }
            }
            transaction.commit()?;
            Ok(changed > 0)
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
        let rows = self
            .run(move |connection| {
                connection
                    .prepare_cached(&query)?
                    .query_map(params_from_iter(parameters), decode)?
                    .collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        let more = rows.len() > limit;
        let videos: Vec<VideoStatus> = rows.into_iter().take(limit).filter_map(|row| row.status).collect();
        let next = videos.last().filter(|_| more).map(|last| Cursor::of(last).text(&list));
        Ok(VideoPage { videos, next })
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<VideoRow>, ViewStoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached("SELECT row FROM videos WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2")?
                .query_map(params![now.unix_millis(), i64::try_from(limit).unwrap_or(i64::MAX)], decode)?
                .collect()
        })
        .await
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
