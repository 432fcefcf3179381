//! The commits of a project by their places.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::read::{FailedRead, integer, last_position};
use super::row::{hash, number as version, text};
use crate::commit::CommitHash;
use crate::id::ProjectId;
use crate::log::ReadError;
use crate::timestamp::Timestamp;

/// A commit of a project, as far as its place and its hash are concerned, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredHash {
    /// The position of the commit in the log.
    pub position: u64,
    /// The place; `None` if it is damaged.
    pub place: Option<u64>,
    /// The hash; `None` if it is damaged.
    pub hash: Option<CommitHash>,
}

impl StoredHash {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            position: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            place: place(row, 1)?,
            hash: row.get_ref(2)?.as_blob().ok().and_then(hash),
        })
    }
}

/// The place in a column of a row; `None` if it is no place.
pub(super) fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get_ref(column)?.as_i64().ok().and_then(|place| u64::try_from(place).ok()))
}

/// The error of a read that meets a wrong place of a project.
pub(super) fn damaged(project_id: &ProjectId, reason: String) -> ReadError {
    ReadError::Damaged { stream: format!("*/{project_id}"), reason }
}

/// The hashes of at most `limit` commits of a project after a position, in the order of the log.
pub(super) fn hashes_after(
    connection: &Connection,
    project_id: &ProjectId,
    position: u64,
    limit: usize,
) -> Result<Vec<StoredHash>, ReadError> {
    let query = || -> rusqlite::Result<Vec<StoredHash>> {
        let sql = "SELECT position, place, hash FROM commits WHERE project_id = ? AND position > ? ORDER BY position LIMIT ?";
        let parameters = (project_id.as_str(), integer(position), integer(limit as u64));
        connection.prepare_cached(sql)?.query_map(parameters, StoredHash::of)?.collect()
    };
    query().map_err(ReadError::of)
}

/// The hashes of at most `limit` commits of a project from the place `from` on, and before the first wrong place. An error if the first place
/// is wrong.
pub(super) fn hashes(
    connection: &Connection,
    project_id: &ProjectId,
    from: u64,
    limit: usize,
) -> Result<Vec<CommitHash>, ReadError> {
    let Some(position) = position_of(connection, project_id, from).map_err(ReadError::of)? else {
        return Ok(Vec::new());
    };
    let before = u64::try_from(position).unwrap_or(0).saturating_sub(1);
    let mut hashes = Vec::new();
    for (expected, stored) in (from..).zip(hashes_after(connection, project_id, before, limit)?) {
        let reason = match (stored.place, stored.hash) {
            (Some(place), Some(hash)) if place == expected => {
                hashes.push(hash);
                continue;
            }
            (Some(place), None) if place == expected => {
                format!("the commit at place {expected} of the project has no hash")
            }
            (found, _) => {
                let found =
                    found.map_or_else(|| "a damaged place".to_owned(), |place| format!("place {place}"));
                format!("the commit at place {expected} of the project should be next, but there is {found}")
            }
        };
        // The next read begins with this commit.
        return if hashes.is_empty() { Err(damaged(project_id, reason)) } else { Ok(hashes) };
    }
    Ok(hashes)
}

/// Finds a place by a time.
pub(super) type FindByTime = fn(&Connection, &ProjectId, Timestamp) -> Result<Option<u64>, ReadError>;

/// How much earlier than a commit before it a commit may have been recorded: how far the clock may have been set back.
const MAX_SET_BACK: i64 = 10 * 60 * 1000;

/// The position of the project's first commit with the place `before` or a later one. Found by bisection, because there is an index of
/// the project's positions and none of its places; both have the same order.
pub(super) fn position_of(
    connection: &Connection,
    project_id: &ProjectId,
    before: u64,
) -> rusqlite::Result<Option<i64>> {
    let place = |row: &Row<'_>| place(row, 1);
    bisect(connection, project_id, "place", place, |found| found.is_some_and(|place| place < before))
}

/// The place of the project's first commit that was recorded at `time` or later. The times of commits are nearly in the order of their
/// positions: bisection finds where the search begins.
pub(super) fn first_since(
    connection: &Connection,
    project_id: &ProjectId,
    time: Timestamp,
) -> Result<Option<u64>, ReadError> {
    let earlier = moved(time, -MAX_SET_BACK);
    let recorded_at = |row: &Row<'_>| text(row, 1);
    let begin = bisect(connection, project_id, "recorded_at", recorded_at, |at| *at < earlier);
    let Some(begin) = begin.map_err(ReadError::of)? else { return Ok(None) };
    let sql = "SELECT place FROM commits WHERE project_id = ? AND position >= ? AND recorded_at >= ? ORDER BY position LIMIT 1";
    one_place(connection, sql, project_id, begin, time)
}

/// The place of the project's last commit that was recorded before `time`.
pub(super) fn last_before(
    connection: &Connection,
    project_id: &ProjectId,
    time: Timestamp,
) -> Result<Option<u64>, ReadError> {
    let later = moved(time, MAX_SET_BACK);
    let recorded_at = |row: &Row<'_>| text(row, 1);
    let end = bisect(connection, project_id, "recorded_at", recorded_at, |at| *at < later);
    let end = end.map_err(ReadError::of)?.unwrap_or(i64::MAX);
    let sql = "SELECT place FROM commits WHERE project_id = ? AND position <= ? AND recorded_at < ? ORDER BY position DESC LIMIT 1";
    one_place(connection, sql, project_id, end, time)
}

/// The place that the query returns for a project, a position and a time.
fn one_place(
    connection: &Connection,
    sql: &str,
    project_id: &ProjectId,
    position: i64,
    time: Timestamp,
) -> Result<Option<u64>, ReadError> {
    let parameters = (project_id.as_str(), position, time.to_string());
    let query = || connection.prepare_cached(sql)?.query_row(parameters, |row| place(row, 0)).optional();
    match query().map_err(ReadError::of)? {
        Some(None) => Err(damaged(project_id, "a commit of the project has no valid place".to_owned())),
        found => Ok(found.flatten()),
    }
}

fn moved(time: Timestamp, milliseconds: i64) -> String {
    Timestamp::from_unix_millis(time.unix_millis().saturating_add(milliseconds).max(0)).to_string()
}

/// The position of the project's first commit of which `is_before` does not hold, if it holds of those before it and of none after it.
fn bisect<T>(
    connection: &Connection,
    project_id: &ProjectId,
    column: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    is_before: impl Fn(&T) -> bool,
) -> rusqlite::Result<Option<i64>> {
    let sql = format!(
        "SELECT position, {column} FROM commits WHERE project_id = ? AND position >= ? ORDER BY position LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut first_from = |position: i64| {
        let found = statement.query_row((project_id.as_str(), position), |row| Ok((row.get(0)?, read(row)?)));
        found.optional()
    };
    // The answer, if there is one, is the first commit from a position in `low..=high` on.
    let (mut low, mut high) = (0, integer(last_position(connection)?).saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, T)> = first_from(middle)?;
        match found {
            Some((position, found)) if is_before(&found) => low = position.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(first_from(low)?.map(|(position, _)| position))
}

/// The projects that have commits after `position`, and the last position.
pub(super) fn projects_after(
    connection: &Connection,
    position: u64,
) -> Result<(Vec<ProjectId>, u64), ReadError> {
    let query = || -> rusqlite::Result<(Vec<String>, u64)> {
        // Read first: what is appended between the two reads is found now and once more by the next call.
        let last = last_position(connection)?;
        let sql = "SELECT DISTINCT project_id FROM commits WHERE position > ?";
        let mut statement = connection.prepare_cached(sql)?;
        let projects = statement.query_map([integer(position)], |row| text(row, 0))?;
        Ok((projects.collect::<rusqlite::Result<_>>()?, last))
    };
    let (projects, last) = query().map_err(ReadError::of)?;
    // A damaged name of a stream has no project: the verification of the log reports it.
    Ok((projects.iter().filter_map(|id| id.parse().ok()).collect(), last))
}

/// The stream and the first version of the commit of the project before which there are `number` others in the order of the log. Reads
/// them, and no places.
pub(super) fn nth_commit(
    connection: &Connection,
    project_id: &ProjectId,
    number: u64,
) -> Result<Option<(String, u64)>, ReadError> {
    let query = || -> rusqlite::Result<Option<(String, u64)>> {
        let sql = "SELECT stream, first FROM commits WHERE position =
            (SELECT position FROM commits WHERE project_id = ? ORDER BY position LIMIT 1 OFFSET ?)";
        let parameters = (project_id.as_str(), integer(number));
        let commit = |row: &Row<'_>| Ok((text(row, 0)?, version(row, 1)?));
        connection.prepare_cached(sql)?.query_row(parameters, commit).optional()
    };
    query().map_err(ReadError::of)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn acme() -> ProjectId {
        "acme".parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_767_323_045 + second)
    }

    /// A table with commits that were recorded at these seconds, every third one of another project. Returns also the seconds of those of
    /// `acme`.
    fn table(seconds: impl Iterator<Item = i64>) -> (Connection, Vec<i64>) {
        let connection = Connection::open_in_memory().unwrap();
        let schema = "CREATE TABLE commits (position INTEGER PRIMARY KEY AUTOINCREMENT, project_id TEXT, place INTEGER, recorded_at TEXT);
            CREATE INDEX commits_of_project ON commits (project_id, position); BEGIN";
        connection.execute_batch(schema).unwrap();
        let mut places: [Vec<i64>; 2] = [Vec::new(), Vec::new()];
        for (number, second) in seconds.enumerate() {
            let of = usize::from(number % 3 == 0);
            let parameters =
                (["acme", "zebra"][of], integer(places[of].len() as u64), at(second).to_string());
            let insert = "INSERT INTO commits (project_id, place, recorded_at) VALUES (?, ?, ?)";
            connection.prepare_cached(insert).unwrap().execute(parameters).unwrap();
            places[of].push(second);
        }
        connection.execute_batch("COMMIT").unwrap();
        let [acme, _] = places;
        (connection, acme)
    }

    /// The clock is set back by nine minutes again and again.
    #[test]
    fn places_are_found_by_times_that_are_nearly_in_order() {
        let (connection, commits) = table((0..600).map(|number| number * 20 - (number % 7) * 90));
        for second in (-700..12_700).step_by(37) {
            let first = commits.iter().position(|it| *it >= second).map(|place| place as u64);
            assert_eq!(first_since(&connection, &acme(), at(second)).unwrap(), first, "{second}");
            let last = commits.iter().rposition(|it| *it < second).map(|place| place as u64);
            assert_eq!(last_before(&connection, &acme(), at(second)).unwrap(), last, "{second}");
        }
    }

    #[test]
    fn a_search_by_time_reads_few_of_many_commits() {
        let (connection, _) = table((0..100_000).map(|number| number * 60));
        let reads = Cell::new(0);
        let read = |row: &Row<'_>| {
            reads.set(reads.get() + 1);
            text(row, 1)
        };
        let time = at(99_995 * 60).to_string();
        let found = bisect(&connection, &acme(), "recorded_at", read, |at| *at < time).unwrap();
        assert_eq!(found, Some(99_996));
        assert!(reads.get() <= 20, "{} reads", reads.get());
    }
}
