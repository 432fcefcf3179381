//! Verification of a stream's hash chain: finds a changed byte, a missing or foreign event and a gap. Against a head
//! that is known from another source it also finds a truncated or recomputed chain.
//!
//! The recorded data is verified in canonical form: white space and the order of fields in an adapter's medium do not
//! matter.

use crate::commit::{Commit, Head};
use crate::stream::StreamId;

/// The first defect of a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A commit of another stream.
    #[error("after version {after} of {stream} there is a commit of {found}")]
    ForeignStream {
        /// The verified stream.
        stream: StreamId,
        /// The last version before the foreign commit.
        after: u64,
        /// The stream that the commit names.
        found: Box<StreamId>,
    },
    /// Events are missing, repeated or out of order.
    #[error("version {expected} of {stream} should be next, but there is version {found}")]
    Gap {
        /// The stream.
        stream: StreamId,
        /// The version that should be next.
        expected: u64,
        /// The next version in the stream.
        found: u64,
    },
    /// A commit without events, or whose versions exceed the largest number.
    #[error("the commit at version {first} of {stream} is malformed")]
    Malformed {
        /// The stream.
        stream: StreamId,
        /// The commit's first version.
        first: u64,
    },
    /// A commit that does not follow the one before it.
    #[error("the commit at version {first} of {stream} does not follow the one before it")]
    BrokenLink {
        /// The stream.
        stream: StreamId,
        /// The commit's first version.
        first: u64,
    },
    /// A commit whose content does not match its hash.
    #[error("the commit at version {first} of {stream} was changed")]
    Changed {
        /// The stream.
        stream: StreamId,
        /// The commit's first version.
        first: u64,
    },
    /// The stream ends before the known head.
    #[error("{stream} ends at version {found}, but it is known to have had version {known}")]
    CutTail {
        /// The stream.
        stream: StreamId,
        /// The known version.
        known: u64,
        /// The stream's last version.
        found: u64,
    },
    /// The chain is valid, but the known head is not part of it.
    #[error("{stream} has another hash at version {version} than is known of it: its history was replaced")]
    Replaced {
        /// The stream.
        stream: StreamId,
        /// The version of the known head.
        version: u64,
    },
}

/// Verifies that `commits` are all commits of `stream` from its first on, and returns the resulting head. With a
/// `known` head (for example from a checkpoint), the chain must also pass through it; it may have grown since. Without
/// one, a truncated chain and a completely recomputed chain cannot be detected.
pub fn verify<'a>(
    stream: &StreamId,
    commits: impl IntoIterator<Item = &'a Commit>,
    known: Option<Head>,
) -> Result<Head, Finding> {
    let mut verifier = Verifier::new(stream.clone(), known);
    for commit in commits {
        verifier.follow(commit)?;
    }
    verifier.finish()
}

/// [`verify`] for streams that are read page by page.
#[derive(Debug, Clone)]
pub struct Verifier {
    stream: StreamId,
    head: Head,
    known: Option<Head>,
}

impl Verifier {
    /// Starts a verification before the first commit of `stream`.
    pub fn new(stream: StreamId, known: Option<Head>) -> Self {
        Self { stream, head: Head::EMPTY, known }
    }

    /// Verifies the next commit.
    pub fn follow(&mut self, commit: &Commit) -> Result<(), Finding> {
        let stream = || self.stream.clone();
        let first = commit.first;
        if commit.stream != self.stream {
            return Err(Finding::ForeignStream {
                stream: stream(),
                after: self.head.version,
                found: Box::new(commit.stream.clone()),
            });
        }
        if self.head.version.checked_add(1) != Some(first) {
            let expected = self.head.version.saturating_add(1);
            return Err(Finding::Gap { stream: stream(), expected, found: first });
        }
        if commit.events.is_empty() || first.checked_add(commit.events.len() as u64).is_none() {
            return Err(Finding::Malformed { stream: stream(), first });
        }
        if commit.prev_hash != self.head.hash {
            return Err(Finding::BrokenLink { stream: stream(), first });
        }
        if commit.hash != commit.computed_hash() {
            return Err(Finding::Changed { stream: stream(), first });
        }
        self.head = commit.head();
        match self.known {
            // A head is at a commit's end: a known version within a commit belongs to another chain.
            Some(known) if (first..=self.head.version).contains(&known.version) && known != self.head => {
                Err(Finding::Replaced { stream: stream(), version: known.version })
            }
            _ => Ok(()),
        }
    }

    /// Ends the verification and returns the head.
    pub fn finish(self) -> Result<Head, Finding> {
        match self.known {
            Some(known) if known.version > self.head.version => {
                Err(Finding::CutTail { stream: self.stream, known: known.version, found: self.head.version })
            }
            _ => Ok(self.head),
        }
    }
}
