//! What a comparison finds.

use std::fmt;

use super::super::node_hash::NodeHash;
use super::super::tiles::Tile;

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
    /// More tiles are damaged than are named.
    #[error("more tiles are damaged; only the first {named} are named")]
    MoreTiles {
        /// The number of tiles that are named.
        named: usize,
    },
    /// A tile of a larger tree than the checkpoint's does not match the commits.
    #[error("{tile}, of a larger tree than the checkpoint's, does not match the commits: {fault}")]
    LaterTile {
        /// The tile.
        tile: Tile,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A tile of a larger tree than the checkpoint's has more commits than there are.
    #[error(
        "{tile}, of a larger tree than the checkpoint's, has commits that are not in the feed: they were removed"
    )]
    LaterCommits {
        /// The tile.
        tile: Tile,
    },
    /// The commits are not those of the checkpoint, and there are no tiles that would tell where.
    #[error(
        "the first {size} commits have the root {found}, but the checkpoint has {expected}: one of them was changed, removed or inserted"
    )]
    Root {
        /// The size of the checkpoint.
        size: u64,
        /// The root of the commits.
        found: NodeHash,
        /// The root of the checkpoint.
        expected: NodeHash,
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
