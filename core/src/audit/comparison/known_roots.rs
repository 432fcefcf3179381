//! Compares several checkpoints of a log with its commits: those that the log itself records, or that somebody has kept.

use std::iter::Peekable;
use std::vec;

use streamio_events::commit::CommitHash;

use super::super::checkpoint::Checkpoint;
use super::super::tiles::FULL_WIDTH;
use super::super::tree::RightEdge;

/// A checkpoint that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What findings call it, such as `the checkpoint in FILE`.
    pub name: String,
    /// The checkpoint, which should be verified.
    pub checkpoint: Checkpoint,
}

/// A checkpoint that the commits do not match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootFinding {
    /// The first commits do not have the root of the checkpoint.
    #[error(
        "a commit from {first} to {last} of the feed was changed, removed or inserted: the first {} commits do not have the root of {name}",
        last + 1
    )]
    CommitAmong {
        /// The index of the first leaf in question: the size of the known checkpoint before, which matches.
        first: u64,
        /// The index of the last leaf in question.
        last: u64,
        /// The name of the checkpoint.
        name: String,
    },
    /// There are fewer commits than the checkpoint states.
    #[error("{name} is of {size} commits, but there are {found}: the last ones were removed")]
    CutTail {
        /// The size of the checkpoint.
        size: u64,
        /// The number of commits.
        found: u64,
        /// The name of the checkpoint.
        name: String,
    },
}

/// A comparison to which the commits are passed one by one, from the first of the feed on.
pub struct KnownRoots {
    edge: RightEdge,
    batch: Vec<CommitHash>,
    next: Peekable<vec::IntoIter<Known>>,
    /// The size of the largest checkpoint that the commits match.
    matching: u64,
    /// The first finding; what comes after it follows from it.
    finding: Option<RootFinding>,
}

impl KnownRoots {
    /// Starts a comparison with these checkpoints.
    pub fn new(mut known: Vec<Known>) -> Self {
        known.sort_by_key(|known| known.checkpoint.size());
        let next = known.into_iter().peekable();
        let mut roots =
            Self { edge: RightEdge::empty(), batch: Vec::new(), next, matching: 0, finding: None };
        roots.compare();
        roots
    }

    /// Compares the next commit of the feed.
    pub fn follow(&mut self, commit: CommitHash) {
        let Some(next) = self.next.peek().filter(|_| self.finding.is_none()) else { return };
        self.batch.push(commit);
        let size = self.edge.size() + self.batch.len() as u64;
        if self.batch.len() == usize::from(FULL_WIDTH) || size == next.checkpoint.size() {
            self.edge.append(self.batch.drain(..));
            self.compare();
        }
    }

    /// Ends the comparison, and returns the first finding.
    pub fn finish(mut self) -> Option<RootFinding> {
        let found = self.edge.size() + self.batch.len() as u64;
        let cut = |Known { name, checkpoint }| RootFinding::CutTail { size: checkpoint.size(), found, name };
        self.finding.or_else(|| self.next.next().map(cut))
    }

    /// Compares the root with the checkpoints of the present size.
    fn compare(&mut self) {
        let size = self.edge.size();
        while let Some(Known { name, checkpoint }) =
            self.next.next_if(|known| known.checkpoint.size() == size)
        {
            if checkpoint.root() == self.edge.root() {
                self.matching = size;
            } else if self.finding.is_none() {
                let last = size.saturating_sub(1);
                self.finding = Some(RootFinding::CommitAmong { first: self.matching, last, name });
            }
        }
    }
}
