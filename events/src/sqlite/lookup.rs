//! Queries in addition to the port, which the embedded log's indexes make cheap.

use rusqlite::{Connection, Params};

use super::SqliteLog;
use super::places;
use super::read::{self, FailedRead};
use super::row::{COLUMNS, RawCommit};
use crate::commit::{Commit, CommitHash};
use crate::id::ProjectId;
use crate::log::{ChangesError, ReadError};
use crate::stream::StreamId;

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

    /// The place of a commit among the commits of its project, counted from 0 without gaps in the order of their appends; `None` if
    /// `stream` has no commit with the first version `first`.
    pub async fn place_of(&self, stream: &StreamId, first: u64) -> Result<Option<u64>, ReadError> {
        let stream = stream.clone();
        self.inner
            .readers
            .with(move |connection| read::place_of(connection, &stream, first).map_err(ReadError::of))
            .await
    }

    /// The hashes of at most `limit` commits of a project, in the order of their places, from the place `from` on. They are as they were
    /// stored: whether a commit's content matches its hash is not checked.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] where a place is missing or occurs twice.
    pub async fn hashes_of_project(
        &self,
        project_id: &ProjectId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<CommitHash>, ReadError> {
        let project_id = project_id.clone();
        self.inner.readers.with(move |connection| places::hashes(connection, &project_id, from, limit)).await
    }

    /// The stream and the first version of the project's first commit with the place `place` or a later one.
    pub async fn commit_at(
        &self,
        project_id: &ProjectId,
        place: u64,
    ) -> Result<Option<(String, u64)>, ReadError> {
        let project_id = project_id.clone();
        self.inner.readers.with(move |connection| places::commit_at(connection, &project_id, place)).await
    }

    /// The projects that have commits after `position` (0: all), and the last position of the log.
    pub async fn projects_after(&self, position: u64) -> Result<(Vec<ProjectId>, u64), ReadError> {
        self.inner.readers.with(move |connection| places::projects_after(connection, position)).await
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
