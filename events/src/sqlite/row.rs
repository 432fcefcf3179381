use rusqlite::{Row, types::ValueRef};

use crate::commit::{Commit, CommitHash};
use crate::timestamp::Timestamp;

/// The columns that [`RawCommit::of`] reads, in its order.
pub(super) const COLUMNS: &str =
    "position, stream, first, last, commit_id, recorded_at, events, prev_hash, hash";

/// A row with unvalidated values.
pub(super) struct RawCommit {
    pub(super) position: u64,
    pub(super) stream: String,
    first: u64,
    last: u64,
    commit_id: String,
    recorded_at: String,
    events: String,
    prev_hash: Vec<u8>,
    hash: Vec<u8>,
}

/// A row that is not a valid commit.
#[derive(Debug)]
pub(super) struct DamagedRow {
    pub(super) position: u64,
    pub(super) stream: String,
    pub(super) reason: String,
}

impl RawCommit {
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            position: number(row, 0)?,
            stream: text(row, 1)?,
            first: number(row, 2)?,
            last: number(row, 3)?,
            commit_id: text(row, 4)?,
            recorded_at: text(row, 5)?,
            events: text(row, 6)?,
            prev_hash: bytes(row, 7)?,
            hash: bytes(row, 8)?,
        })
    }

    /// The size of the row in memory in bytes, without its fixed part.
    pub(super) fn weight(&self) -> usize {
        self.events.len()
    }

    pub(super) fn into_commit(self) -> Result<Commit, DamagedRow> {
        self.parse().map_err(|reason| DamagedRow { position: self.position, stream: self.stream, reason })
    }

    fn parse(&self) -> Result<Commit, String> {
        let commit = Commit {
            stream: self.stream.parse().map_err(|error| format!("its name is {error}"))?,
            first: self.first,
            id: self
                .commit_id
                .parse()
                .map_err(|error| format!("the id of its commit at {} is {error}", self.first))?,
            events: serde_json::from_str(&self.events).map_err(|error| {
                format!("the events of its commit at {} cannot be read: {error}", self.first)
            })?,
            recorded_at: self
                .recorded_at()
                .ok_or_else(|| format!("its commit at {} has no valid time", self.first))?,
            prev_hash: hash(&self.prev_hash)
                .ok_or_else(|| format!("its commit at {} has no valid previous hash", self.first))?,
            hash: hash(&self.hash)
                .ok_or_else(|| format!("its commit at {} has no valid hash", self.first))?,
        };
        let versions = self.last.checked_sub(self.first).and_then(|more| more.checked_add(1));
        if self.first == 0 || commit.events.is_empty() || versions != Some(commit.events.len() as u64) {
            return Err(format!(
                "its commit of versions {} to {} has {} events",
                self.first,
                self.last,
                commit.events.len()
            ));
        }
        Ok(commit)
    }

    /// Accepts only the form that this program writes.
    fn recorded_at(&self) -> Option<Timestamp> {
        self.recorded_at.parse().ok().filter(|at: &Timestamp| at.to_string() == self.recorded_at)
    }
}

pub(super) fn hash(bytes: &[u8]) -> Option<CommitHash> {
    bytes.try_into().ok().map(CommitHash::from_bytes)
}

// A damaged row may hold anything in any column. Invalid values become values that `parse` refuses, so that the row's
// stream and position can still be reported.

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(number) => u64::try_from(number).unwrap_or(0),
        _ => 0,
    })
}

pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    })
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Blob(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    })
}
