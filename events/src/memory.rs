//! The event log in memory, for tests and for logs that may be lost with their process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::commit::{Commit, Head, NewCommit};
use crate::id::CommitId;
use crate::log::{
    AppendError, Appended, ChangesError, EventLog, Expected, LogPage, Part, ReadError, StreamPage, admit,
    cursor_position,
};
use crate::stream::StreamId;

/// A log in memory. Clones are handles to the same log, which is dropped with the last of them.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    /// All commits in the order of their appends; the position of `commits[i]` is `i + 1`.
    commits: Vec<Commit>,
    streams: HashMap<StreamId, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Indices into [`Content::commits`], in the stream's order.
    places: Vec<usize>,
    ids: HashMap<CommitId, usize>,
}

impl MemoryLog {
    /// Returns an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns at most `limit` (at least 1) commits after `position` (0: all) with their positions, in the order of
    /// their appends.
    #[expect(clippy::unused_async, reason = "the same signature as the feed of the SQLite log")]
    pub async fn changes_after(
        &self,
        position: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Commit)>, ChangesError> {
        let content = self.content();
        let after = usize::try_from(position).unwrap_or(usize::MAX);
        Ok((1..)
            .zip(&content.commits)
            .skip(after)
            .take(limit.max(1))
            .map(|(at, it)| (at, it.clone()))
            .collect())
    }

    /// The position of the last commit; 0 when there is none.
    #[expect(clippy::unused_async, reason = "the same signature as the feed of the SQLite log")]
    pub async fn last_position(&self) -> Result<u64, ChangesError> {
        Ok(self.content().commits.len() as u64)
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // A panic while the lock was held cannot have left a partial commit: see `Content::push`.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn head(&self, stream: &StreamId) -> Head {
        let last = self.streams.get(stream).and_then(|stream| stream.places.last());
        last.map_or(Head::EMPTY, |place| self.commits[*place].head())
    }

    fn push(&mut self, commit: Commit) {
        let place = self.commits.len();
        let stream = self.streams.entry(commit.stream.clone()).or_default();
        stream.ids.insert(commit.id.clone(), place);
        stream.places.push(place);
        self.commits.push(commit);
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        let commit = admit(stream, commit)?;
        let mut content = self.content();
        if let Some(place) = content.streams.get(stream).and_then(|known| known.ids.get(&commit.id)) {
            return Ok(Appended { commit: content.commits[*place].clone(), repeated: true });
        }
        let head = content.head(stream);
        if let Expected::Exactly(version) = expected
            && version != head.version
        {
            return Err(AppendError::Conflict {
                stream: stream.clone(),
                expected: version,
                actual: head.version,
            });
        }
        let commit = Commit::following(stream.clone(), head, commit);
        content.push(commit.clone());
        Ok(Appended { commit, repeated: false })
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        Ok(self.content().head(stream))
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        let content = self.content();
        let places = content.streams.get(stream).map_or(&[][..], |stream| &stream.places);
        let mut rest = places.iter().map(|place| &content.commits[*place]).filter(|it| it.last() >= from);
        let commits: Vec<Commit> = rest.by_ref().take(limit.max(1)).cloned().collect();
        Ok(StreamPage { commits, next: rest.next().map(|commit| commit.first) })
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        let after = after.map_or(Ok(0), cursor_position)?;
        let content = self.content();
        let mut rest = (1u64..)
            .zip(&content.commits)
            .skip(usize::try_from(after).unwrap_or(usize::MAX))
            .filter(|(_, commit)| part.holds(Part::slot(&commit.stream)));
        let page: Vec<_> = rest.by_ref().take(limit.max(1)).collect();
        let next = rest.next().and_then(|_| page.last()).map(|(position, _)| position.to_string());
        Ok(LogPage { commits: page.into_iter().map(|(_, commit)| commit.clone()).collect(), next })
    }
}
