//! Queries in addition to the port, which the embedded log's indexes make cheap.

use rusqlite::{Connection, Params, Row};

use super::SqliteLog;
use super::places::{self, StoredHash};
use super::read::{self, FailedRead};
use super::row::{COLUMNS, RawCommit};
use crate::commit::{Commit, CommitHash};
use crate::id::ProjectId;
use crate::log::{ChangesError, ReadError};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// The place that a commit has among the commits of its project, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPlace {
    /// The position of the commit in the log.
    pub position: u64,
    /// The project that the name of its stream contains, which may be damaged.
    pub project_id: String,
    /// The place; `None` if it is damaged.
    pub place: Option<u64>,
}

impl SqliteLog {
    /// Like [`changes_after`](Self::changes_after), restricted to the streams of `project_id`, of all kinds.
    pub async fn changes_of_project(
        &self,
        project_id: &ProjectId,
        position: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Commit)>, ChangesError> {
        let project_id = project_id.to_string();
        self.inner
            .readers
            .with(move |connection| {
                let condition = "project_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
                changes(
                    connection,
                    condition,
                    (project_id, read::integer(position), read::integer(limit as u64)),
                )
            })
            .await
    }

    /// Like [`changes_after`](Self::changes_after), restricted to the stream with this name, which may be damaged. The cost depends on the
    /// length of the stream, not of the log.
    pub async fn changes_of_stream(
        &self,
        stream: &str,
        position: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Commit)>, ChangesError> {
        let stream = stream.to_owned();
        self.inner
            .readers
            .with(move |connection| {
                // With the `+`, SQLite looks the stream up in its index instead of reading the log in the order of positions.
                let condition = "stream = ?1 AND position > ?2 ORDER BY +position LIMIT ?3";
                changes(connection, condition, (stream, read::integer(position), read::integer(limit as u64)))
            })
            .await
    }

    /// The place of a commit among the commits of its project, counted from 0 without gaps in the order of their appends; `None` if
    /// `stream` has no commit with the first version `first`.
    pub async fn place_of(&self, stream: &StreamId, first: u64) -> Result<Option<u64>, ReadError> {
        let stream = stream.clone();
        self.inner.readers.with(move |connection| read::place_of(connection, &stream, first)).await
    }

    /// The hashes of at most `limit` commits of a project, in the order of their places, from the place `from` on. They are as they were
    /// stored: whether a commit's content matches its hash is not checked.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if the commit at `from` is missing or its place occurs twice. Where a later place is wrong, only the hashes before
    /// it are returned.
    pub async fn hashes_of_project(
        &self,
        project_id: &ProjectId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<CommitHash>, ReadError> {
        let project_id = project_id.clone();
        self.inner.readers.with(move |connection| places::hashes(connection, &project_id, from, limit)).await
    }

    /// The hashes of at most `limit` commits of a project after `position`, in the order of the log, also of damaged commits.
    pub async fn hashes_after(
        &self,
        project_id: &ProjectId,
        position: u64,
        limit: usize,
    ) -> Result<Vec<StoredHash>, ReadError> {
        let project_id = project_id.clone();
        let read =
            move |connection: &Connection| places::hashes_after(connection, &project_id, position, limit);
        self.inner.readers.with(read).await
    }

    /// The stream and the first version of the commit of the project before which there are `number` others in the order of the log. Does
    /// not need their places, and takes time in proportion to `number`.
    pub async fn nth_commit(
        &self,
        project_id: &ProjectId,
        number: u64,
    ) -> Result<Option<(String, u64)>, ReadError> {
        let project_id = project_id.clone();
        self.inner.readers.with(move |connection| places::nth_commit(connection, &project_id, number)).await
    }

    /// The projects that have commits after `position` (0: all), and the last position of the log.
    pub async fn projects_after(&self, position: u64) -> Result<(Vec<ProjectId>, u64), ReadError> {
        self.inner.readers.with(move |connection| places::projects_after(connection, position)).await
    }

    /// The place that the next commit of the project will have.
    pub async fn next_place(&self, project_id: &ProjectId) -> Result<u64, ReadError> {
        let project_id = project_id.clone();
        let next = move |connection: &Connection| {
            let next = read::next_place(connection, &project_id).map_err(ReadError::of)?;
            next.map_err(|reason| places::damaged(&project_id, reason))
        };
        self.inner.readers.with(next).await
    }

    /// The position in the log of the project's first commit with the place `place` or a later one; `None` if there is none.
    pub async fn position_at(&self, project_id: &ProjectId, place: u64) -> Result<Option<u64>, ReadError> {
        let project_id = project_id.clone();
        let find = move |connection: &Connection| {
            let position = places::position_of(connection, &project_id, place).map_err(ReadError::of)?;
            Ok(position.and_then(|position| u64::try_from(position).ok()))
        };
        self.inner.readers.with(find).await
    }

    /// The place of the project's first commit that was recorded at `time` or later; `None` if there is none. A commit whose clock had been
    /// set back by more than ten minutes may be missed.
    pub async fn first_place_since(
        &self,
        project_id: &ProjectId,
        time: Timestamp,
    ) -> Result<Option<u64>, ReadError> {
        self.place_by_time(project_id, time, places::first_since).await
    }

    /// The place of the project's last commit that was recorded before `time`; `None` if there is none. A commit whose clock had been
    /// set back by more than ten minutes may be missed.
    pub async fn last_place_before(
        &self,
        project_id: &ProjectId,
        time: Timestamp,
    ) -> Result<Option<u64>, ReadError> {
        self.place_by_time(project_id, time, places::last_before).await
    }

    async fn place_by_time(
        &self,
        project_id: &ProjectId,
        time: Timestamp,
        find: places::FindByTime,
    ) -> Result<Option<u64>, ReadError> {
        let project_id = project_id.clone();
        let read = move |connection: &Connection| find(connection, &project_id, time);
        self.inner.readers.with(read).await
    }

    /// Returns the places of at most `limit` commits after `position` in the order of their positions, also of damaged commits.
    pub async fn places_after(&self, position: u64, limit: usize) -> Result<Vec<CommitPlace>, ChangesError> {
        self.inner
            .readers
            .with(move |connection| read_places(connection, position, limit).map_err(ChangesError::of))
            .await
    }

    /// Like [`changes_after`](Self::changes_after), restricted to the streams of projects themselves (`project/…`).
    pub async fn changes_about_projects(
        &self,
        position: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Commit)>, ChangesError> {
        self.inner
            .readers
            .with(move |connection| {
                let condition = "stream GLOB 'project/*' AND position > ?1 ORDER BY position LIMIT ?2";
                changes(connection, condition, (read::integer(position), read::integer(limit as u64)))
            })
            .await
    }
}

fn read_places(connection: &Connection, position: u64, limit: usize) -> rusqlite::Result<Vec<CommitPlace>> {
    let query = "SELECT position, CAST(project_id AS BLOB), place FROM commits
        WHERE position > ?1 ORDER BY position LIMIT ?2";
    let place = |row: &Row<'_>| {
        Ok(CommitPlace {
            position: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            project_id: String::from_utf8_lossy(&row.get::<_, Vec<u8>>(1)?).into_owned(),
            place: places::place(row, 2)?,
        })
    };
    let parameters = (read::integer(position), read::integer(limit as u64));
    connection.prepare_cached(query)?.query_map(parameters, place)?.collect()
}

fn changes(
    connection: &Connection,
    condition: &str,
    parameters: impl Params,
) -> Result<Vec<(u64, Commit)>, ChangesError> {
    let query = || -> rusqlite::Result<Vec<RawCommit>> {
        let sql = format!("SELECT {COLUMNS} FROM commits WHERE {condition}");
        connection.prepare_cached(&sql)?.query_map(parameters, RawCommit::of)?.collect()
    };
    let rows = query().map_err(ChangesError::of)?;
    read::until_damage(rows)
}
