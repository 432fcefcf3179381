//! Commits as they are stored, for readers that go through much of the log: they read on a connection of their own, check hashes over the
//! stored bytes, and decode only what they need.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use super::open;
use super::read::{self, FailedRead as _, integer};
use super::row::{COLUMNS, hash};
use crate::commit::{Commit, CommitHash, Head, stored_hash};
use crate::event::{RecordedEvent, StoredEvent, split};
use crate::log::ReadError;
use crate::timestamp::Timestamp;

/// How many streams are looked up to divide the log.
const SAMPLES: i64 = 1024;

/// A commit as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredCommit<'a> {
    /// Its position in the log.
    pub position: u64,
    /// The name of its stream.
    pub stream: &'a str,
    /// The version of its first event.
    pub first: u64,
    /// The version of its last event.
    pub last: u64,
    /// When it was recorded.
    pub recorded_at: &'a str,
    commit_id: &'a str,
    events: &'a str,
    prev_hash: CommitHash,
    hash: CommitHash,
}

/// A row of the log that is not a commit, or a commit that does not fit its stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the commit at position {position}, of stream {stream}, is damaged: {reason}")]
pub struct DamagedCommit {
    /// Its position in the log.
    pub position: u64,
    /// The name of its stream as stored, which may be damaged too.
    pub stream: String,
    /// What is damaged.
    pub reason: String,
}

impl<'a> StoredCommit<'a> {
    fn of(row: &'a Row<'_>) -> rusqlite::Result<Result<Self, DamagedCommit>> {
        let position = number(row.get_ref(0)?).unwrap_or(0);
        let read = || -> rusqlite::Result<Option<Self>> {
            let text = |column| row.get_ref(column).map(|value| value.as_str().ok());
            let bytes = |column| row.get_ref(column).map(|value| value.as_blob().ok().and_then(hash));
            let number = |column| row.get_ref(column).map(number);
            let (stream, commit_id, recorded_at, events) = (text(1)?, text(4)?, text(5)?, text(6)?);
            let (first, last, prev_hash, hash) = (number(2)?, number(3)?, bytes(7)?, bytes(8)?);
            Ok((|| {
                Some(Self {
                    position,
                    stream: stream?,
                    first: first?,
                    last: last?,
                    recorded_at: recorded_at?,
                    commit_id: commit_id?,
                    events: events?,
                    prev_hash: prev_hash?,
                    hash: hash?,
                })
            })())
        };
        let stream = || match row.get_ref(1) {
            Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        };
        let reason = "a column has no valid value";
        Ok(read()?.ok_or_else(|| DamagedCommit { position, stream: stream(), reason: reason.to_owned() }))
    }

    /// The error for this commit.
    pub fn damaged(&self, reason: impl Into<String>) -> DamagedCommit {
        DamagedCommit { position: self.position, stream: self.stream.to_owned(), reason: reason.into() }
    }

    /// The head of its stream before this commit, as it states it.
    pub fn before(&self) -> Head {
        Head { version: self.first.saturating_sub(1), hash: self.prev_hash }
    }

    /// Returns whether the content matches the hash.
    pub fn is_intact(&self) -> bool {
        let Self { stream, first, commit_id, recorded_at, events, prev_hash, .. } = *self;
        stored_hash(&prev_hash, (stream, first), commit_id, recorded_at, events.as_bytes()) == self.hash
    }

    /// Returns the head of the stream after this commit.
    ///
    /// # Errors
    /// If it does not follow `head`, or its content does not match its hash.
    pub fn follow(&self, head: Head) -> Result<Head, DamagedCommit> {
        if head.version.checked_add(1) != Some(self.first) || self.last < self.first {
            let expected = head.version.saturating_add(1);
            return Err(self
                .damaged(format!("version {expected} should be next, but there is version {}", self.first)));
        }
        if self.prev_hash != head.hash {
            return Err(self.damaged("it does not follow the one before it"));
        }
        if !self.is_intact() {
            return Err(self.damaged("it was changed"));
        }
        Ok(Head { version: self.last, hash: self.hash })
    }

    /// Calls `each` with the events and their versions, without decoding their data, until it fails.
    pub fn each_event<E>(
        &self,
        mut each: impl FnMut(u64, StoredEvent<'_>) -> Result<(), E>,
    ) -> Result<Result<(), E>, DamagedCommit> {
        if let Some(events) = split(self.events).filter(|events| self.has_versions_of(events.len())) {
            return Ok((self.first..).zip(events).try_for_each(|(version, event)| each(version, event)));
        }
        // Text that this program did not write, or data that is no object.
        for (version, RecordedEvent { kind, version: shape, at, data, .. }) in
            (self.first..).zip(self.events()?)
        {
            let event = StoredEvent { kind: &kind, version: shape, at, data: &data.to_string() };
            if let Err(error) = each(version, event) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn has_versions_of(&self, events: usize) -> bool {
        let expected = self.last.checked_sub(self.first).and_then(|more| more.checked_add(1));
        self.first > 0 && expected == Some(events as u64)
    }

    /// Decodes the events.
    pub fn events(&self) -> Result<Vec<RecordedEvent>, DamagedCommit> {
        let events: Vec<RecordedEvent> = serde_json::from_str(self.events)
            .map_err(|error| self.damaged(format!("its events cannot be read: {error}")))?;
        if !self.has_versions_of(events.len()) {
            return Err(self.damaged(format!(
                "its versions {} to {} have {} events",
                self.first,
                self.last,
                events.len()
            )));
        }
        Ok(events)
    }

    /// Decodes the commit.
    pub fn commit(&self) -> Result<Commit, DamagedCommit> {
        Ok(Commit {
            stream: self.stream.parse().map_err(|error| self.damaged(format!("its stream is {error}")))?,
            first: self.first,
            id: self.commit_id.parse().map_err(|error| self.damaged(format!("its id is {error}")))?,
            events: self.events()?,
            recorded_at: self.time().ok_or_else(|| self.damaged("it has no valid time"))?,
            prev_hash: self.prev_hash,
            hash: self.hash,
        })
    }

    /// When it was recorded; `None` if the stored text has another form than the one that this program writes.
    pub fn time(&self) -> Option<Timestamp> {
        self.recorded_at.parse().ok().filter(|at: &Timestamp| at.to_string() == self.recorded_at)
    }

    /// The number of events that its versions state.
    pub fn event_count(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

fn number(value: ValueRef<'_>) -> Option<u64> {
    value.as_i64().ok().and_then(|number| u64::try_from(number).ok())
}

/// Streams whose names are between two texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRange {
    /// The first name, included.
    pub from: String,
    /// The last name, excluded.
    pub to: String,
}

impl StreamRange {
    /// The streams whose names begin with `prefix`, which ends with `/`.
    pub fn of_prefix(prefix: &str) -> Self {
        let mut to = prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
        // The character after the slash.
        to.push('0');
        Self { from: prefix.to_owned(), to }
    }

    /// The stream with this name.
    pub fn one(stream: &str) -> Self {
        Self { from: stream.to_owned(), to: format!("{stream}\0") }
    }
}

/// Reads a log on the calling thread, with a connection of its own.
#[derive(Debug)]
pub struct StoredReader {
    connection: Connection,
}

impl StoredReader {
    /// Opens the log at `path`, which must have the current schema: [`SqliteLog::open`](super::SqliteLog::open) sees to that.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Ok(Self { connection: open::reader(path).map_err(ReadError::of)? })
    }

    /// The position of the last commit; 0 if there is none.
    pub fn last_position(&self) -> Result<u64, ReadError> {
        read::last_position(&self.connection).map_err(ReadError::of)
    }

    /// The position of the first commit that was recorded at `time` or later; `None` if there is none.
    pub fn first_since(&self, time: Timestamp) -> Result<Option<u64>, ReadError> {
        let query = "SELECT position FROM commits WHERE recorded_at >= ?1 ORDER BY position LIMIT 1";
        let found = || {
            self.connection.prepare_cached(query)?.query_row([time.to_string()], |row| row.get(0)).optional()
        };
        Ok(found().map_err(ReadError::of)?.and_then(|position: i64| u64::try_from(position).ok()))
    }

    /// The number of commits of the streams in `range` up to the position `until`.
    pub fn count(&self, range: &StreamRange, until: u64) -> Result<u64, ReadError> {
        let query = "SELECT count(*) FROM commits WHERE stream >= ?1 AND stream < ?2 AND +position <= ?3";
        let parameters = (&range.from, &range.to, integer(until));
        let count =
            || self.connection.prepare_cached(query)?.query_row(parameters, |row| row.get::<_, i64>(0));
        Ok(u64::try_from(count().map_err(ReadError::of)?).unwrap_or(0))
    }

    /// Divides `range` into at most `parts` ranges that have about as many commits each. Every stream is in one of them.
    pub fn divide(&self, range: &StreamRange, parts: usize) -> Result<Vec<StreamRange>, ReadError> {
        let samples = || -> rusqlite::Result<Vec<String>> {
            let last = integer(read::last_position(&self.connection)?);
            let step = (last / SAMPLES).max(1);
            let query = "SELECT stream FROM commits WHERE position = ?1 AND stream > ?2 AND stream < ?3";
            let mut statement = self.connection.prepare_cached(query)?;
            let mut found = Vec::new();
            let mut position = 1;
            while position <= last {
                let parameters = (position, &range.from, &range.to);
                // A stream without a valid name bounds no range.
                found
                    .extend(statement.query_row(parameters, |row| Ok(row.get(0).ok())).optional()?.flatten());
                position += step;
            }
            Ok(found)
        };
        let mut samples = samples().map_err(ReadError::of)?;
        samples.sort_unstable();
        let step = samples.len().div_ceil(parts.max(1)).max(1);
        let mut bounds: Vec<String> = samples.into_iter().step_by(step).skip(1).collect();
        bounds.dedup();
        bounds.push(range.to.clone());
        let mut from = range.from.clone();
        Ok(bounds
            .into_iter()
            .map(|to| StreamRange { from: std::mem::replace(&mut from, to.clone()), to })
            .collect())
    }

    /// Calls `each` with the commits of the streams in `range` up to the position `until`, stream by stream, those of a stream in order, until
    /// it breaks.
    pub fn streams(
        &self,
        range: &StreamRange,
        until: u64,
        each: impl FnMut(Result<StoredCommit<'_>, DamagedCommit>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        // With the `+`, SQLite reads in the order of its index of streams instead of sorting what it finds by position.
        let condition = "stream >= ?1 AND stream < ?2 AND +position <= ?3 ORDER BY stream, first";
        self.each(condition, (&range.from, &range.to, integer(until)), each)
    }

    /// Calls `each` with the commits after the position `after` up to the position `until`, in the order of positions, until it breaks.
    pub fn positions(
        &self,
        after: u64,
        until: u64,
        each: impl FnMut(Result<StoredCommit<'_>, DamagedCommit>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let condition = "position > ?1 AND position <= ?2 ORDER BY position";
        self.each(condition, (integer(after), integer(until)), each)
    }

    fn each(
        &self,
        condition: &str,
        parameters: impl Params,
        mut each: impl FnMut(Result<StoredCommit<'_>, DamagedCommit>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let sql = format!("SELECT {COLUMNS} FROM commits WHERE {condition}");
        let read = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                if each(StoredCommit::of(row)?).is_break() {
                    break;
                }
            }
            Ok(())
        };
        read().map_err(ReadError::of)
    }
}

#[cfg(test)]
mod tests;
