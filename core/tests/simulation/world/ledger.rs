//! The log's table.

use std::collections::BTreeMap;

use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::id::CommitId;
use streamio_events::log::{AppendError, Appended, Expected, Part, StreamPage, admit};
use streamio_events::stream::StreamId;

use super::SHARDS;
use crate::engine::Millis;

/// All commits, and the log's change feed.
#[derive(Default)]
pub(crate) struct Ledger {
    streams: BTreeMap<StreamId, Vec<Commit>>,
    ids: BTreeMap<(StreamId, CommitId), usize>,
    appended_at: BTreeMap<(StreamId, u64), Millis>,
    /// The shards of the change feed: each stream is in one shard, in its order.
    pub(crate) changes: [Vec<Commit>; SHARDS],
}

impl Ledger {
    /// Appends as the port's contract says.
    pub(crate) fn append(
        &mut self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
        now: Millis,
    ) -> Result<Appended, AppendError> {
        let commit = admit(stream, commit)?;
        if let Some(index) = self.ids.get(&(stream.clone(), commit.id.clone())) {
            return Ok(Appended { commit: self.streams[stream][*index].clone(), repeated: true });
        }
        let head = self.head(stream);
        if let Expected::Exactly(expected) = expected
            && expected != head.version
        {
            return Err(AppendError::Conflict { stream: stream.clone(), expected, actual: head.version });
        }
        let commit = Commit::following(stream.clone(), head, commit);
        let commits = self.streams.entry(stream.clone()).or_default();
        self.ids.insert((stream.clone(), commit.id.clone()), commits.len());
        commits.push(commit.clone());
        self.appended_at.insert((stream.clone(), commit.first), now);
        self.changes[Self::shard_of(stream)].push(commit.clone());
        Ok(Appended { commit, repeated: false })
    }

    /// When `commit` was appended, in true time.
    pub(crate) fn appended_at(&self, commit: &Commit) -> Millis {
        self.appended_at.get(&(commit.stream.clone(), commit.first)).copied().unwrap_or(0)
    }

    /// The shard of the change feed that has the commits of `stream`.
    pub(crate) fn shard_of(stream: &StreamId) -> usize {
        Part::slot(stream) as usize % SHARDS
    }

    /// The end of `stream`.
    pub(crate) fn head(&self, stream: &StreamId) -> Head {
        self.commits(stream).last().map_or(Head::EMPTY, Commit::head)
    }

    /// The commits of `stream`.
    pub(crate) fn commits(&self, stream: &StreamId) -> &[Commit] {
        self.streams.get(stream).map_or(&[], Vec::as_slice)
    }

    /// All streams.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&StreamId, &[Commit])> {
        self.streams.iter().map(|(stream, commits)| (stream, commits.as_slice()))
    }

    /// Returns a page of `stream`.
    pub(crate) fn read(&self, stream: &StreamId, from: u64, limit: usize) -> StreamPage {
        let commits = self.commits(stream);
        let start = commits.partition_point(|commit| commit.last() < from);
        let rest = &commits[start..];
        let page = &rest[..rest.len().min(limit.max(1))];
        StreamPage { commits: page.to_vec(), next: rest.get(page.len()).map(|commit| commit.first) }
    }
}
