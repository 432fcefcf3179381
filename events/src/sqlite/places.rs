//! The commits of a project by their places.

use rusqlite::{Connection, OptionalExtension};

use super::read::{FailedRead, integer, last_position};
use super::row::hash;
use crate::commit::CommitHash;
use crate::id::ProjectId;
use crate::log::ReadError;

/// The hashes of at most `limit` commits of a project from the place `from` on.
pub(super) fn hashes(
    connection: &Connection,
    project_id: &ProjectId,
    from: u64,
    limit: usize,
) -> Result<Vec<CommitHash>, ReadError> {
    let query = || -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
        let Some(position) = position_of(connection, project_id, from)? else { return Ok(Vec::new()) };
        let sql = "SELECT place, hash FROM commits WHERE project_id = ? AND position >= ? ORDER BY position LIMIT ?";
        let parameters = (project_id.as_str(), position, integer(limit as u64));
        connection.prepare_cached(sql)?.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let rows = query().map_err(ReadError::of)?;
    let damaged = |reason| ReadError::Damaged { stream: format!("*/{project_id}"), reason };
    let hash_at = |(number, (place, bytes)): (u64, (i64, Vec<u8>))| {
        let expected = from.saturating_add(number);
        if u64::try_from(place) != Ok(expected) {
            return Err(damaged(format!(
                "the commit at place {expected} of the project should be next, but there is place {place}"
            )));
        }
        hash(&bytes)
            .ok_or_else(|| damaged(format!("the commit at place {expected} of the project has no hash")))
    };
    (0..).zip(rows).map(hash_at).collect()
}

/// The position of the project's first commit with the place `place` or a later one. Found by bisection, because there is an index of
/// the project's positions and none of its places; both have the same order.
pub(super) fn position_of(
    connection: &Connection,
    project_id: &ProjectId,
    place: u64,
) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT position, place FROM commits WHERE project_id = ? AND position >= ? ORDER BY position LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut first_from = |position: i64| {
        let found =
            statement.query_row((project_id.as_str(), position), |row| Ok((row.get(0)?, row.get(1)?)));
        found.optional()
    };
    // The answer, if there is one, is the first commit from a position in `low..=high` on.
    let (mut low, mut high) = (0, integer(last_position(connection)?).saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> = first_from(middle)?;
        match found {
            Some((position, found)) if found < integer(place) => low = position.saturating_add(1),
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
        let projects = statement.query_map([integer(position)], |row| row.get(0))?;
        Ok((projects.collect::<rusqlite::Result<_>>()?, last))
    };
    let (projects, last) = query().map_err(ReadError::of)?;
    // A damaged name of a stream has no project: the verification of the log reports it.
    Ok((projects.iter().filter_map(|id| id.parse().ok()).collect(), last))
}

/// The stream and the first version of the project's first commit with the place `place` or a later one.
pub(super) fn commit_at(
    connection: &Connection,
    project_id: &ProjectId,
    place: u64,
) -> Result<Option<(String, u64)>, ReadError> {
    let query = || -> rusqlite::Result<Option<(String, i64)>> {
        let Some(position) = position_of(connection, project_id, place)? else { return Ok(None) };
        let sql = "SELECT stream, first FROM commits WHERE position = ?";
        connection.prepare_cached(sql)?.query_row([position], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    let found = query().map_err(ReadError::of)?;
    Ok(found.map(|(stream, first)| (stream, u64::try_from(first).unwrap_or(0))))
}
