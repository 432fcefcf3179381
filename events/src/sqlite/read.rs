use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension, Params, ffi};

use super::places::place;
use super::row::{COLUMNS, DamagedRow, RawCommit, hash};
use crate::commit::{Commit, Head};
use crate::id::{CommitId, ProjectId};
use crate::log::{ChangesError, LogPage, Part, ReadError, StreamPage};
use crate::stream::StreamId;

/// Maximum bytes of events in one page. It bounds memory when commits are large.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Converts SQLite's errors into the error type of a read.
pub(super) trait FailedRead: Sized {
    fn unavailable(source: Box<dyn std::error::Error + Send + Sync>) -> Self;
    fn damaged(reason: String) -> Self;

    fn of(error: rusqlite::Error) -> Self {
        if is_damage(&error) {
            Self::damaged(format!("SQLite finds the file damaged: {error}"))
        } else {
            Self::unavailable(error.into())
        }
    }
}

impl FailedRead for ReadError {
    fn unavailable(source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::Unavailable(source)
    }

    fn damaged(reason: String) -> Self {
        Self::Damaged { stream: "*".to_owned(), reason }
    }
}

impl FailedRead for ChangesError {
    fn unavailable(source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::Unavailable(source)
    }

    fn damaged(reason: String) -> Self {
        Self::LogDamaged(reason)
    }
}

impl From<DamagedRow> for ReadError {
    fn from(row: DamagedRow) -> Self {
        Self::Damaged { stream: row.stream, reason: row.reason }
    }
}

impl From<DamagedRow> for ChangesError {
    fn from(row: DamagedRow) -> Self {
        Self::Damaged { position: row.position, stream: row.stream, reason: row.reason }
    }
}

/// Whether SQLite reports that the file is damaged.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ffi::ErrorCode::DatabaseCorrupt | ffi::ErrorCode::NotADatabase))
}

/// Returns the head of `stream`, or why it is unreadable.
pub(super) fn head_of(connection: &Connection, stream: &StreamId) -> rusqlite::Result<Result<Head, String>> {
    let mut statement = connection
        .prepare_cached("SELECT last, hash FROM commits WHERE stream = ? ORDER BY first DESC LIMIT 1")?;
    let found = statement
        .query_row([stream.to_string()], |row| {
            let version: Option<u64> = row.get::<_, i64>(0).ok().and_then(|last| u64::try_from(last).ok());
            let hash = row.get::<_, Vec<u8>>(1).ok().and_then(|bytes| hash(&bytes));
            Ok(version.filter(|last| *last > 0).zip(hash))
        })
        .optional()?;
    Ok(match found {
        None => Ok(Head::EMPTY),
        Some(Some((version, hash))) => Ok(Head { version, hash }),
        Some(None) => Err("its last commit has no version or no hash".to_owned()),
    })
}

/// Returns the place of the next commit among the commits of the project, or why it is not known.
pub(super) fn next_place(
    connection: &Connection,
    project_id: &ProjectId,
) -> rusqlite::Result<Result<u64, String>> {
    let sql = "SELECT place FROM commits WHERE project_id = ? ORDER BY position DESC LIMIT 1";
    let last = connection.prepare_cached(sql)?.query_row([project_id.as_str()], |row| place(row, 0));
    let next = last.optional()?.map_or(Some(0), |place| place?.checked_add(1));
    let next = next.filter(|place| i64::try_from(*place).is_ok());
    Ok(next.ok_or_else(|| format!("the last commit of the project {project_id} has no valid place")))
}

/// The place of the commit of `stream` with the first version `first` among the commits of its project.
pub(super) fn place_of(
    connection: &Connection,
    stream: &StreamId,
    first: u64,
) -> Result<Option<u64>, ReadError> {
    let query = || {
        let sql = "SELECT place FROM commits WHERE stream = ? AND first = ?";
        let parameters = (stream.to_string(), integer(first));
        connection.prepare_cached(sql)?.query_row(parameters, |row| place(row, 0)).optional()
    };
    match query().map_err(ReadError::of)? {
        Some(None) => Err(ReadError::Damaged {
            stream: stream.to_string(),
            reason: format!("its commit at {first} has no valid place"),
        }),
        found => Ok(found.flatten()),
    }
}

/// The commit with this id in `stream`.
pub(super) fn commit_with_id(
    connection: &Connection,
    stream: &StreamId,
    id: &CommitId,
) -> rusqlite::Result<Option<Result<Commit, DamagedRow>>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM commits WHERE stream = ? AND commit_id = ?"))?;
    let found = statement.query_row([&stream.to_string(), id.as_str()], RawCommit::of).optional()?;
    Ok(found.map(RawCommit::into_commit))
}

/// The commit that has this id, or else the first into which the fact with this id was merged.
pub(super) fn find(
    connection: &Connection,
    stream: &StreamId,
    id: &CommitId,
) -> Result<Option<Commit>, ReadError> {
    if let Some(found) = commit_with_id(connection, stream, id).map_err(ReadError::of)? {
        return Ok(Some(found?));
    }
    // Facts have no index: few commits are merged here, and the text search precedes any parsing of JSON. The text may
    // also occur in an event's data, so the ids are compared afterwards.
    let sql =
        format!("SELECT {COLUMNS} FROM commits WHERE stream = ?1 AND instr(events, ?2) > 0 ORDER BY first");
    let of_fact = format!("\"fact\":\"{id}\"");
    let query = || -> rusqlite::Result<Vec<RawCommit>> {
        connection.prepare_cached(&sql)?.query_map((stream.to_string(), of_fact), RawCommit::of)?.collect()
    };
    for row in query().map_err(ReadError::of)? {
        let commit = row.into_commit()?;
        if commit.ids().any(|known| known == id) {
            return Ok(Some(commit));
        }
    }
    Ok(None)
}

pub(super) fn head(connection: &Connection, stream: &StreamId) -> Result<Head, ReadError> {
    head_of(connection, stream)
        .map_err(ReadError::of)?
        .map_err(|reason| ReadError::Damaged { stream: stream.to_string(), reason })
}

pub(super) fn stream(
    connection: &Connection,
    stream: &StreamId,
    from: u64,
    limit: usize,
) -> Result<StreamPage, ReadError> {
    // One statement, so that it sees one state of the log. The commit that holds `from` is the last one that begins at
    // or before `from`; if it ends before `from`, the stream ends there and `last >= ?2` excludes it.
    let sql = format!(
        "SELECT {COLUMNS} FROM commits
         WHERE stream = ?1 AND last >= ?2
           AND first >= (SELECT coalesce(max(first), 1) FROM commits WHERE stream = ?1 AND first <= ?2)
         ORDER BY first LIMIT ?3"
    );
    let parameters = (stream.to_string(), integer(from), one_more(limit));
    let rows = rows(connection, &sql, parameters, limit).map_err(ReadError::of)?;
    let mut commits = Vec::with_capacity(rows.page.len());
    for row in rows.page {
        commits.push(row.into_commit()?);
    }
    let next = if rows.more { commits.last().map(|commit: &Commit| commit.last() + 1) } else { None };
    Ok(StreamPage { commits, next })
}

pub(super) fn scan(
    connection: &Connection,
    part: Part,
    after: u64,
    limit: usize,
) -> Result<LogPage, ReadError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM commits WHERE position > ?1 AND slot % ?2 = ?3 ORDER BY position LIMIT ?4"
    );
    let parameters = (integer(after), part.of(), part.index(), one_more(limit));
    let rows = rows(connection, &sql, parameters, limit).map_err(ReadError::of)?;
    let next = if rows.more { rows.page.back().map(|row| row.position.to_string()) } else { None };
    let commits = rows.page.into_iter().map(RawCommit::into_commit).collect::<Result<_, _>>()?;
    Ok(LogPage { commits, next })
}

pub(super) fn changes_after(
    connection: &Connection,
    position: u64,
    limit: usize,
) -> Result<Vec<(u64, Commit)>, ChangesError> {
    let sql = format!("SELECT {COLUMNS} FROM commits WHERE position > ?1 ORDER BY position LIMIT ?2");
    let parameters = (integer(position), one_more(limit));
    let rows = rows(connection, &sql, parameters, limit).map_err(ChangesError::of)?;
    until_damage(rows.page)
}

/// Returns the commits before the first damaged row; an error if the first row is damaged. The next read after the returned
/// commits then begins with the damaged row and reports it.
pub(super) fn until_damage(
    rows: impl IntoIterator<Item = RawCommit>,
) -> Result<Vec<(u64, Commit)>, ChangesError> {
    let mut changes = Vec::new();
    for row in rows {
        let position = row.position;
        match row.into_commit() {
            Ok(commit) => changes.push((position, commit)),
            Err(_) if !changes.is_empty() => break,
            Err(damaged) => return Err(damaged.into()),
        }
    }
    Ok(changes)
}

pub(super) fn last_position(connection: &Connection) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT coalesce(max(position), 0) FROM commits")?;
    let position: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(position).unwrap_or(0))
}

struct Rows {
    page: VecDeque<RawCommit>,
    more: bool,
}

/// At most `limit` rows, fewer if they exceed [`PAGE_BYTES`], and whether more follow.
fn rows(connection: &Connection, sql: &str, parameters: impl Params, limit: usize) -> rusqlite::Result<Rows> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(parameters)?;
    let mut page = VecDeque::new();
    let mut weight = 0;
    while let Some(row) = found.next()? {
        if page.len() == limit.max(1) || weight >= PAGE_BYTES {
            return Ok(Rows { page, more: true });
        }
        let row = RawCommit::of(row)?;
        weight += row.weight();
        page.push_back(row);
    }
    Ok(Rows { page, more: false })
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit.max(1)).unwrap_or(i64::MAX).saturating_add(1)
}

/// Converts to SQLite's integers; larger numbers become the largest integer.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
