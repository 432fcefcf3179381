//! What a power loss takes of the changes that were not synced.

use fastrand::Rng;

/// Which changes a power loss takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::torture) enum Loss {
    /// All changes that were not synced.
    All,
    /// The latest changes of each file and of each directory, from a random one on. Of the first of them, if it is a write, the first
    /// sectors may be kept.
    Latest,
    /// Any sectors of each file, each of which is as it was after one of its changes; and the latest changes of each directory.
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
    /// The sectors of files that were not as last written.
    pub(in crate::torture) sectors: u64,
    /// The files that had such sectors.
    pub(in crate::torture) files: u64,
    /// Creations, renamings and removals.
    pub(in crate::torture) entries: u64,
}

impl std::ops::AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.sectors += other.sectors;
        self.files += other.files;
        self.entries += other.entries;
    }
}
