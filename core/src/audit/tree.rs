//! Appends leaves to a tree: computes the tiles to write and the new root.

use std::mem;

use streamio_events::commit::CommitHash;

use super::node_hash::NodeHash;
use super::stored::{self, TileError};
use super::tiles::{self, FULL_WIDTH, Tile, TileKind};
use crate::ports::tile_reader::TileReader;

/// The number of levels of a tree with 2^64 leaves.
const LEVELS: usize = 8;

/// The contents of a tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileFile {
    /// The tile.
    pub tile: Tile,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The state from which a tree grows: its size and the items of its partial tiles. It has at most 255 entries and 255 hashes per level.
///
/// The roots of the complete subtrees would suffice for a new root. They do not suffice for new tiles, because a tile is written
/// as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RightEdge {
    size: u64,
    entries: Vec<CommitHash>,
    levels: [Vec<NodeHash>; LEVELS],
}

/// A right edge that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// A partial tile cannot be used.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// The partial tiles are those of another tree.
    #[error("the partial tiles of a tree of {size} leaves have the root {found} instead of {expected}")]
    Root {
        /// The number of leaves.
        size: u64,
        /// The root that follows from the tiles.
        found: NodeHash,
        /// The root that the tree has.
        expected: NodeHash,
    },
    /// The partial entry bundle does not match the partial tile of level 0.
    #[error("the entry of leaf {leaf} does not match the leaf's hash")]
    Entry {
        /// The index of the leaf.
        leaf: u64,
    },
}

impl RightEdge {
    /// The right edge of a tree without leaves.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads the right edge of the tree of `size` leaves with this root, and verifies it against the root.
    pub async fn read(reader: &dyn TileReader, size: u64, root: NodeHash) -> Result<Self, EdgeError> {
        let mut edge = Self { size, ..Self::default() };
        for tile in Tile::partial(size) {
            match tile.kind() {
                TileKind::Entries => edge.entries = stored::entries(reader, tile).await?,
                TileKind::Hashes(level) => {
                    edge.levels[usize::from(level)] = stored::hashes(reader, tile).await?;
                }
            }
        }
        let found = edge.root();
        if found != root {
            return Err(EdgeError::Root { size, found, expected: root });
        }
        let first = size - edge.entries.len() as u64;
        for (leaf, (entry, hash)) in (first..).zip(edge.entries.iter().zip(&edge.levels[0])) {
            if NodeHash::of_leaf(entry.as_bytes()) != *hash {
                return Err(EdgeError::Entry { leaf });
            }
        }
        Ok(edge)
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> NodeHash {
        let mut below = None;
        for level in &self.levels {
            // What is below the partial tiles of the lower levels is the last and smallest subtree.
            let nodes: Vec<_> = level.iter().copied().chain(below).collect();
            below = (!nodes.is_empty()).then(|| NodeHash::over(nodes));
        }
        below.unwrap_or(NodeHash::EMPTY_TREE)
    }

    /// Appends a leaf for each commit and returns the tiles to write: every tile that became full, then every partial tile that changed.
    /// They take 66 bytes of memory per leaf and must be durable before a checkpoint of the new tree is published.
    ///
    /// A tile's contents depend on the leaves only. If leaves are appended in several steps, the same full tiles are
    /// returned, and the partial tiles of the sizes between them.
    pub fn append(&mut self, commits: impl IntoIterator<Item = CommitHash>) -> Vec<TileFile> {
        let before = self.size;
        let mut written = Vec::new();
        for entry in commits {
            self.push(entry, &mut written);
        }
        let has_grown = |kind: TileKind| kind.count(self.size) > kind.count(before);
        written.extend(self.partial().filter(|file| has_grown(file.tile.kind())));
        written
    }

    /// The partial tiles.
    pub fn partial(&self) -> impl Iterator<Item = TileFile> {
        Tile::partial(self.size).map(|tile| {
            let bytes = match tile.kind() {
                TileKind::Entries => tiles::write_entries(&self.entries),
                TileKind::Hashes(level) => tiles::write_hashes(&self.levels[usize::from(level)]),
            };
            TileFile { tile, bytes }
        })
    }

    fn push(&mut self, entry: CommitHash, written: &mut Vec<TileFile>) {
        self.size += 1;
        self.entries.push(entry);
        if self.entries.len() == usize::from(FULL_WIDTH) {
            let bytes = tiles::write_entries(&self.entries);
            written.push(TileFile { tile: self.last_full(TileKind::Entries), bytes });
            self.entries.clear();
        }
        let mut hash = NodeHash::of_leaf(entry.as_bytes());
        for level in 0..8_u8 {
            let nodes = &mut self.levels[usize::from(level)];
            nodes.push(hash);
            if nodes.len() < usize::from(FULL_WIDTH) {
                break;
            }
            let nodes = mem::take(nodes);
            let bytes = tiles::write_hashes(&nodes);
            written.push(TileFile { tile: self.last_full(TileKind::Hashes(level)), bytes });
            hash = NodeHash::over(nodes);
        }
    }

    /// The full tile that ends with the last item of this kind.
    fn last_full(&self, kind: TileKind) -> Tile {
        let index = kind.count(self.size) / u64::from(FULL_WIDTH) - 1;
        Tile::in_tree(kind, index, self.size).expect("the tree has the tile that was just filled")
    }
}

#[cfg(test)]
mod tests;
