//! Compares the tiles and the checkpoint of a log with its commits, and names the first differences.
//!
//! The tiles are computed again from the commits. Their root decides what was changed: if it is the checkpoint's, the commits are those
//! that were signed, and a tile that differs is damaged. Otherwise the commits were changed, and the first tile that differs tells where.
//! A leaf is in two tiles, as the hash of its commit and as that of the tree. If only one of them differs, the tile is damaged, and the commit
//! was not changed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use streamio_events::commit::CommitHash;

use super::checkpoint::Checkpoint;
use super::node_hash::NodeHash;
use super::stored::TileError;
use super::tiles::{FULL_WIDTH, Tile, TileKind};
use super::tree::{RightEdge, TileFile};
use crate::ports::tile_reader::TileReader;

/// What is wrong with a stored tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The tile is missing.
    Missing,
    /// The tile has this number of bytes, which is not the right one.
    Length(usize),
    /// The item at this position in the tile, from 0, is not the one that follows from the commits.
    Item(u16),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("it is missing"),
            Self::Length(found) => write!(formatter, "it has {found} bytes"),
            Self::Item(position) => write!(formatter, "its item {position} was changed"),
        }
    }
}

/// A difference between commits, tiles and checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A tile is damaged. If nothing else was found, the commits are those of the checkpoint, and the tile can be computed again.
    #[error("{tile} is damaged: {fault}")]
    Tile {
        /// The tile.
        tile: Tile,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The commits are not those of the checkpoint. The first difference from the tiles is at a leaf.
    #[error(
        "commit {leaf} of the feed was changed, removed or inserted: it differs from {tile}, and the root from the checkpoint's"
    )]
    Commit {
        /// The index of the leaf, which is the place of the commit in the feed.
        leaf: u64,
        /// The tile with the leaf.
        tile: Tile,
    },
    /// The commits are not those of the checkpoint. A tile above level 0 is the first that differs or, on any level, the first that cannot be
    /// compared, so the place is known only roughly.
    #[error(
        "a commit from {first} to {last} of the feed was changed, removed or inserted: {tile} does not match the commits ({fault}), \
         nor does the checkpoint's root"
    )]
    CommitAmong {
        /// The index of the first leaf in question.
        first: u64,
        /// The index of the last leaf in question.
        last: u64,
        /// The tile.
        tile: Tile,
        /// What is wrong with it.
        fault: Fault,
    },
    /// There are fewer commits than the checkpoint states. Those that there are match the tiles.
    #[error("the checkpoint is of {size} commits, but the feed has {found}: the last ones were removed")]
    CutTail {
        /// The size of the checkpoint.
        size: u64,
        /// The number of commits.
        found: u64,
    },
    /// Commits and tiles match, but the checkpoint is of another tree.
    #[error(
        "the first {size} commits and their tiles have the root {found}, but the checkpoint has {expected}"
    )]
    Checkpoint {
        /// The size of the checkpoint.
        size: u64,
        /// The root of the commits and tiles.
        found: NodeHash,
        /// The root of the checkpoint.
        expected: NodeHash,
    },
}

/// A tile that differs.
#[derive(Debug, Clone, Copy)]
struct Difference {
    tile: Tile,
    fault: Fault,
}

impl Difference {
    /// The first leaf below what differs, and the first leaf after it.
    fn leaves(&self) -> (u64, u64) {
        match self.fault {
            Fault::Item(position) => self.tile.leaves(position),
            Fault::Missing | Fault::Length(_) => {
                (self.tile.leaves(0).0, self.tile.leaves(self.tile.width() - 1).1)
            }
        }
    }
}

/// A stored tile, and the positions of its items that are not those that follow from the commits; or why it cannot be compared.
struct Compared {
    tile: Tile,
    items: Result<Vec<u16>, Fault>,
}

impl Compared {
    fn difference(&self, fault: Fault) -> Difference {
        Difference { tile: self.tile, fault }
    }

    /// The first difference.
    fn first(&self) -> Option<Difference> {
        match &self.items {
            Ok(items) => items.first().map(|position| self.difference(Fault::Item(*position))),
            Err(fault) => Some(self.difference(*fault)),
        }
    }

    /// The first item that differs and whose leaf does not differ in `other`, which has the same leaves.
    fn first_alone(&self, other: &[u16]) -> Option<Difference> {
        let alone = self.items.iter().flatten().find(|position| !other.contains(position));
        alone.map(|position| self.difference(Fault::Item(*position)))
    }
}

/// What follows from the two tiles with the same leaves: the first difference of a commit, and the first damage.
fn judge_leaves(entries: &Compared, hashes: &Compared) -> (Option<Difference>, Option<Difference>) {
    match (&entries.items, &hashes.items) {
        (Ok(of_entries), Ok(of_hashes)) => {
            let both = of_entries.iter().find(|position| of_hashes.contains(position));
            let damage = entries.first_alone(of_hashes).or_else(|| hashes.first_alone(of_entries));
            (both.map(|position| entries.difference(Fault::Item(*position))), damage)
        }
        (Ok(_), Err(_)) => (entries.first(), hashes.first()),
        (Err(_), Ok(_)) => (hashes.first(), entries.first()),
        (Err(_), Err(_)) => (entries.first(), None),
    }
}

/// A comparison to which the commits are passed one by one.
pub struct Comparison<'a> {
    reader: &'a dyn TileReader,
    size: u64,
    root: NodeHash,
    edge: RightEdge,
    batch: Vec<CommitHash>,
    /// The first difference that changed commits explain.
    first: Option<Difference>,
    /// The first damage, which changed commits do not explain.
    damage: Option<Difference>,
}

impl<'a> Comparison<'a> {
    /// Starts a comparison with a checkpoint, which should be verified, and with the tiles of its tree.
    pub fn new(reader: &'a dyn TileReader, checkpoint: &Checkpoint) -> Self {
        Self {
            reader,
            size: checkpoint.size(),
            root: checkpoint.root(),
            edge: RightEdge::empty(),
            batch: Vec::new(),
            first: None,
            damage: None,
        }
    }

    /// Compares the next commit of the feed. Commits beyond the checkpoint's size are ignored: the feed may have grown. An error is one of
    /// the store; a tile that is missing or malformed is a finding.
    pub async fn follow(&mut self, commit: CommitHash) -> Result<(), TileError> {
        if self.edge.size() + self.batch.len() as u64 == self.size {
            return Ok(());
        }
        self.batch.push(commit);
        if self.batch.len() == usize::from(FULL_WIDTH) {
            let written = self.edge.append(self.batch.drain(..));
            // The partial tiles of the levels above have grown too: they are compared when they are full, or at the end.
            self.compare(written.into_iter().filter(|file| !file.tile.is_partial())).await?;
        }
        Ok(())
    }

    /// Ends the comparison, and returns what was found: at most one damaged tile that changed commits do not explain, and at most one other
    /// finding.
    pub async fn finish(mut self) -> Result<Vec<Finding>, TileError> {
        self.edge.append(self.batch.drain(..));
        let partial: Vec<TileFile> = self.edge.partial().collect();
        self.compare(partial).await?;
        let (size, found, expected) = (self.size, self.edge.root(), self.root);
        let is_signed = self.edge.size() == size && found == expected;
        let damaged = |Difference { tile, fault }| Finding::Tile { tile, fault };
        let of_commits = match self.first {
            Some(difference) if is_signed => Some(damaged(difference)),
            Some(difference) => Some(changed_commit(difference)),
            None if is_signed => None,
            None if self.edge.size() < size => Some(Finding::CutTail { size, found: self.edge.size() }),
            None => Some(Finding::Checkpoint { size, found, expected }),
        };
        Ok(self.damage.map(damaged).into_iter().chain(of_commits).collect())
    }

    /// Compares tiles that were computed from the commits with those that are stored, and keeps the first difference and the first damage.
    async fn compare(&mut self, files: impl IntoIterator<Item = TileFile>) -> Result<(), TileError> {
        if self.first.is_some() {
            return Ok(());
        }
        let (mut entries, mut hashes) = (BTreeMap::new(), BTreeMap::new());
        let mut differences = Vec::new();
        for file in files {
            let compared = self.compared(&file).await?;
            match file.tile.kind() {
                TileKind::Entries => drop(entries.insert(file.tile.index(), compared)),
                TileKind::Hashes(0) => drop(hashes.insert(file.tile.index(), compared)),
                TileKind::Hashes(_) => differences.extend(compared.first()),
            }
        }
        for (index, entries) in entries {
            let Some(hashes) = hashes.get(&index) else { continue };
            let (difference, damage) = judge_leaves(&entries, hashes);
            differences.extend(difference);
            self.damage = self.damage.or(damage);
        }
        // The one that ends first and, of two that end together, the one that is known more precisely.
        self.first = differences.into_iter().min_by_key(|difference| {
            let (first, end) = difference.leaves();
            (end, Reverse(first))
        });
        Ok(())
    }

    async fn compared(&self, computed: &TileFile) -> Result<Compared, TileError> {
        let (kind, index) = (computed.tile.kind(), computed.tile.index());
        // Wider than the computed one if there are too few commits.
        let tile = Tile::in_tree(kind, index, self.size).unwrap_or(computed.tile);
        let mut expected_bytes = tile.bytes();
        let mut stored = self.read(tile).await?;
        if stored.is_none() && tile.is_partial() {
            // The partial tile may have been removed when the tile became full.
            stored = self.read(tile.full()).await?;
            expected_bytes = tile.full().bytes();
        }
        let items = match stored {
            None => Err(Fault::Missing),
            Some(stored) if stored.len() != expected_bytes => Err(Fault::Length(stored.len())),
            Some(stored) => {
                let items = |bytes| <[u8]>::chunks(bytes, kind.item_bytes());
                let pairs = (0..).zip(items(&stored).zip(items(&computed.bytes)));
                Ok(pairs.filter(|(_, (stored, computed))| stored != computed).map(|(at, _)| at).collect())
            }
        };
        Ok(Compared { tile, items })
    }

    async fn read(&self, tile: Tile) -> Result<Option<Vec<u8>>, TileError> {
        self.reader.read(&tile).await.map_err(|source| TileError::Read { tile, source })
    }
}

fn changed_commit(difference: Difference) -> Finding {
    let Difference { tile, fault } = difference;
    let (first, end) = difference.leaves();
    match (tile.kind(), fault) {
        (TileKind::Entries | TileKind::Hashes(0), Fault::Item(_)) => Finding::Commit { leaf: first, tile },
        _ => Finding::CommitAmong { first, last: end - 1, tile, fault },
    }
}

/// Compares all commits of a feed with a checkpoint, which should be verified, and with the tiles of its tree.
pub async fn compare(
    reader: &dyn TileReader,
    checkpoint: &Checkpoint,
    commits: impl IntoIterator<Item = CommitHash>,
) -> Result<Vec<Finding>, TileError> {
    let mut comparison = Comparison::new(reader, checkpoint);
    for commit in commits {
        comparison.follow(commit).await?;
    }
    comparison.finish().await
}

#[cfg(test)]
mod tests;
