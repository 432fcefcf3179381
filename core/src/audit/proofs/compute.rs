//! Computes proofs and roots from tiles.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::ops::Range;

use futures::future::try_join_all;

use super::subtrees::{self, CompleteSubtree};
use super::{ConsistencyProof, InclusionProof};
use crate::audit::node_hash::NodeHash;
use crate::audit::stored::{self, TileError};
use crate::ports::tile_reader::TileReader;

/// A proof that could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The tree has no such leaf.
    #[error("a tree of {size} leaves has no leaf {index}")]
    NoSuchLeaf {
        /// The index of the leaf.
        index: u64,
        /// The number of leaves.
        size: u64,
    },
    /// The tree that should be older is larger.
    #[error("a tree of {new} leaves does not begin with {old} leaves")]
    Shrunk {
        /// The size of the tree that should be older.
        old: u64,
        /// The size of the other tree.
        new: u64,
    },
    /// A tile cannot be used.
    #[error(transparent)]
    Tile(#[from] TileError),
}

/// Computes the proof that leaf `index` is in the tree of the first `size` leaves. The tiles are taken as they are: if one is damaged, the
/// proof does not verify.
pub async fn inclusion(reader: &dyn TileReader, index: u64, size: u64) -> Result<InclusionProof, ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let path = roots(reader, subtrees::of_inclusion(index, size), size).await?;
    Ok(InclusionProof { index, size, path })
}

/// Computes the proof that the tree of `new` leaves begins with the leaves of the tree of `old` leaves. Every tree begins with the empty
/// tree, and the proof of it is empty. The tiles are taken as they are, as in [`inclusion`].
pub async fn consistency(
    reader: &dyn TileReader,
    old: u64,
    new: u64,
) -> Result<ConsistencyProof, ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    let path = roots(reader, subtrees::of_consistency(old, new), new).await?;
    Ok(ConsistencyProof { old, new, path })
}

/// Computes the root of the tree of the first `size` leaves. The tiles are taken as they are.
pub async fn root(reader: &dyn TileReader, size: u64) -> Result<NodeHash, TileError> {
    if size == 0 {
        return Ok(NodeHash::EMPTY_TREE);
    }
    Ok(roots(reader, iter::once(0..size).collect(), size).await?[0])
}

/// Computes the root of the tree of the first `leaves` leaves, of which there is one at least, from the tiles of the tree of `size` leaves, which is
/// not smaller. The tiles are taken as they are.
pub async fn root_within(reader: &dyn TileReader, leaves: u64, size: u64) -> Result<NodeHash, TileError> {
    Ok(roots(reader, iter::once(0..leaves).collect(), size).await?[0])
}

/// Returns the roots of subtrees of the tree of `size` leaves. Each tile that they need is read once, all at the same time: two per level
/// and subtree at most.
async fn roots(
    reader: &dyn TileReader,
    subtrees: Vec<Range<u64>>,
    size: u64,
) -> Result<Vec<NodeHash>, TileError> {
    let subtrees: Vec<Vec<CompleteSubtree>> =
        subtrees.into_iter().map(|leaves| CompleteSubtree::all(leaves).collect()).collect();
    let tiles: BTreeSet<_> = subtrees.iter().flatten().filter_map(|subtree| subtree.tile(size)).collect();
    let read = tiles.into_iter().map(|tile| async move {
        let hashes = stored::hashes(reader, tile).await?;
        Ok::<_, TileError>((tile, hashes))
    });
    let tiles: BTreeMap<_, _> = try_join_all(read).await?.into_iter().collect();
    let root_of = |subtree: &CompleteSubtree| {
        let tile = subtree.tile(size).expect("a complete subtree of a tree is in its tiles");
        NodeHash::over(tiles[&tile][subtree.positions()].to_vec())
    };
    let roots = subtrees.iter().map(|subtrees| {
        let nodes = subtrees.iter().map(root_of).rev();
        nodes.reduce(|right, left| NodeHash::of_children(&left, &right)).expect("a subtree has a leaf")
    });
    Ok(roots.collect())
}
