//! A tree for the tests: the definitions of RFC 6962 and `tlog-tiles` in their own words, and a store of tiles in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use streamio_events::commit::CommitHash;

use super::node_hash::NodeHash;
use super::tiles::Tile;
use super::tree::RightEdge;
use crate::ports::AdapterError;
use crate::ports::tile_reader::TileReader;

/// Tiles in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Tiles(pub(super) BTreeMap<Tile, Vec<u8>>);

#[async_trait]
impl TileReader for Tiles {
    async fn read(&self, tile: &Tile) -> Result<Option<Vec<u8>>, AdapterError> {
        Ok(self.0.get(tile).cloned())
    }
}

/// The hash of the commit with this index: no two are equal.
pub(super) fn commit(index: u64) -> CommitHash {
    CommitHash::from_bytes(*NodeHash::of_leaf(&index.to_be_bytes()).as_bytes())
}

pub(super) fn leaf(index: u64) -> NodeHash {
    NodeHash::of_leaf(commit(index).as_bytes())
}

thread_local! {
    /// The hashes that were computed in this thread. Without optimization, hashing takes most of the tests' time.
    static COMPUTED: RefCell<HashMap<(u64, u64), NodeHash>> = RefCell::default();
}

/// The Merkle Tree Hash of the leaves from `start` to before `end`, as RFC 6962 (section 2.1) defines it.
pub(super) fn merkle_tree_hash(start: u64, end: u64) -> NodeHash {
    if let Some(hash) = COMPUTED.with_borrow(|computed| computed.get(&(start, end)).copied()) {
        return hash;
    }
    let hash = match end - start {
        0 => NodeHash::EMPTY_TREE,
        1 => leaf(start),
        n => {
            let k = split(n);
            NodeHash::of_children(&merkle_tree_hash(start, start + k), &merkle_tree_hash(start + k, end))
        }
    };
    COMPUTED.with_borrow_mut(|computed| computed.insert((start, end), hash));
    hash
}

/// The largest power of two smaller than `n`.
pub(super) fn split(n: u64) -> u64 {
    n.next_power_of_two() / 2
}

/// The edge and the tiles of the tree of the commits 0 to before `size`, appended in one step.
pub(super) fn tree(size: u64) -> (RightEdge, Tiles) {
    let mut edge = RightEdge::empty();
    let written = edge.append((0..size).map(commit));
    (edge, Tiles(written.into_iter().map(|file| (file.tile, file.bytes)).collect()))
}
