//! What a power loss takes of the changes that were not synced.

use fastrand::Rng;

/// Which changes a power loss takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::torture) enum Loss {
    /// All changes that were not synced.
    All,
    /// The latest changes of each file and of each directory, from a random one on. The first of them is torn if it is a write.
    Latest,
    /// Any changes of each file, each of which is kept, lost or torn; and the latest changes of each directory.
    Any,
}

impl Loss {
    /// Chooses one.
    pub(in crate::torture) fn choose(rng: &mut Rng) -> Self {
        *rng.choice(&[Self::All, Self::Latest, Self::Any]).unwrap_or(&Self::All)
    }
}

/// What a power loss took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::torture) struct Lost {
    /// Writes and changes of a length.
    pub(in crate::torture) changes: u64,
    /// Writes of which the first sectors are kept.
    pub(in crate::torture) torn: u64,
    /// Creations, renamings and removals.
    pub(in crate::torture) entries: u64,
}

impl std::ops::AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.changes += other.changes;
        self.torn += other.torn;
        self.entries += other.entries;
    }
}
