//! Follows the chains of hashes of all streams in the order of the log.

use std::collections::HashMap;

use streamio_events::commit::Head;
use streamio_events::sqlite::{DamagedCommit, StoredCommit};

/// What the chain of a stream needs of a commit whose content matches its hash.
#[derive(Debug)]
pub(super) struct Link {
    position: u64,
    stream: String,
    first: u64,
    before: Head,
    after: Head,
}

impl Link {
    /// The link that `commit` is, if its content matches its hash.
    pub(super) fn of(commit: &StoredCommit<'_>) -> Result<Self, DamagedCommit> {
        let before = commit.before();
        let after = commit.follow(before)?;
        let StoredCommit { position, stream, first, .. } = *commit;
        Ok(Self { position, stream: stream.to_owned(), first, before, after })
    }
}

/// The heads of the streams. Holds some 150 bytes for each.
pub(super) struct Chains {
    heads: HashMap<String, Head>,
    /// Whether the commits are followed from the first of the log on.
    is_complete: bool,
}

impl Chains {
    pub(super) fn new(is_complete: bool) -> Self {
        Self { heads: HashMap::new(), is_complete }
    }

    /// Follows the next commit.
    pub(super) fn follow(&mut self, link: &Link) -> Result<(), DamagedCommit> {
        let head = if let Some(head) = self.heads.get_mut(&link.stream) {
            head
        } else {
            let before = if self.is_complete || link.first == 1 { Head::EMPTY } else { link.before };
            self.heads.entry(link.stream.clone()).or_insert(before)
        };
        if *head != link.before {
            return Err(DamagedCommit {
                position: link.position,
                stream: link.stream.clone(),
                reason: format!("its version {} does not follow version {}", link.first, head.version),
            });
        }
        *head = link.after;
        Ok(())
    }
}
