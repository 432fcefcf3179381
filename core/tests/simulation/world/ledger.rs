//! The log's table.

use std::collections::BTreeMap;
use std::ops::Bound;

use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::id::CommitId;
use streamio_events::log::{AppendError, Appended, Expected, Part, StreamPage, admit};
use streamio_events::stream::StreamId;

use super::SHARDS;
use crate::engine::Millis;

/// All commits, and the log's change feed.
#[derive(Default)]
pub(crate) struct Ledger {
    streams: BTreeMap<StreamId, Stream>,
    /// The shards of the change feed, as streams and indexes in them: each stream is in one shard, in its order.
    changes: [Vec<(StreamId, usize)>; SHARDS],
}

/// The commits of a stream.
#[derive(Default)]
struct Stream {
    commits: Vec<Commit>,
    /// When each was appended, in true time.
    appended_at: Vec<Millis>,
    ids: BTreeMap<CommitId, usize>,
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
        let known = self.streams.get(stream);
        if let Some(repeated) = known.and_then(|known| Some(&known.commits[*known.ids.get(&commit.id)?])) {
            return Ok(Appended { commit: repeated.clone(), repeated: true });
        }
        let head = self.head(stream);
        if let Expected::Exactly(expected) = expected
            && expected != head.version
        {
            return Err(AppendError::Conflict { stream: stream.clone(), expected, actual: head.version });
        }
        let commit = Commit::following(stream.clone(), head, commit);
        let known = self.streams.entry(stream.clone()).or_default();
        let index = known.commits.len();
        known.ids.insert(commit.id.clone(), index);
        known.commits.push(commit.clone());
        known.appended_at.push(now);
        self.changes[Self::shard_of(stream)].push((stream.clone(), index));
        Ok(Appended { commit, repeated: false })
    }

    /// The commits of `stream`, with the true times at which they were appended.
    pub(crate) fn timed(&self, stream: &StreamId) -> impl DoubleEndedIterator<Item = (Millis, &Commit)> {
        self.streams.get(stream).into_iter().flat_map(Stream::timed)
    }

    /// The length of a shard of the change feed.
    pub(crate) fn changes_len(&self, shard: usize) -> usize {
        self.changes[shard].len()
    }

    /// The commits of a shard of the change feed from `position` on.
    pub(crate) fn changes(&self, shard: usize, position: usize) -> impl Iterator<Item = &Commit> {
        let changes = self.changes[shard].iter().skip(position);
        changes.map(|(stream, index)| &self.streams[stream].commits[*index])
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
        self.streams.get(stream).map_or(&[], |known| known.commits.as_slice())
    }

    /// All streams.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&StreamId, &[Commit])> {
        self.streams.iter().map(|(stream, known)| (stream, known.commits.as_slice()))
    }

    /// The commits of the streams in `part` from the stream `first` on, in their order, with the true times at which they were appended.
    pub(crate) fn scan(
        &self,
        part: Part,
        first: Option<&StreamId>,
    ) -> impl Iterator<Item = (Millis, &Commit)> {
        let from = first.map_or(Bound::Unbounded, Bound::Included);
        let streams = self.streams.range::<StreamId, _>((from, Bound::Unbounded));
        streams.filter(move |(stream, _)| part.holds(Part::slot(stream))).flat_map(|(_, known)| known.timed())
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

impl Stream {
    fn timed(&self) -> impl DoubleEndedIterator<Item = (Millis, &Commit)> {
        self.appended_at.iter().copied().zip(&self.commits)
    }
}
