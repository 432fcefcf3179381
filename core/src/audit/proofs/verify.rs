//! Verifies proofs by the algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2, which are those of RFC 6962 in words.

use super::{ConsistencyProof, InclusionProof};
use crate::audit::node_hash::NodeHash;

/// Why a proof does not prove its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
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
    /// The proof has too many or too few hashes.
    #[error("the proof has {found} hashes, which is not the number that its sizes need")]
    Length {
        /// The number of hashes.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the hashes of the proof lead to the root {found} instead of {expected}")]
    Root {
        /// The root that follows from the proof.
        found: NodeHash,
        /// The root that it should prove.
        expected: NodeHash,
    },
}

/// The place of a node on its level, and that of the level's last node.
struct Place {
    node: u64,
    last: u64,
}

impl Place {
    /// Moves up to the next level on which the node has a sibling, and returns whether the sibling is to the left; `None` if the node is the
    /// root.
    fn up(&mut self) -> Option<bool> {
        if self.last == 0 {
            return None;
        }
        // The last node of a level with an odd number of nodes moves up without a sibling.
        while self.node == self.last && self.node.is_multiple_of(2) {
            self.shift();
        }
        let is_left = !self.node.is_multiple_of(2);
        self.shift();
        Some(is_left)
    }

    fn shift(&mut self) {
        (self.node, self.last) = (self.node >> 1, self.last >> 1);
    }
}

impl InclusionProof {
    /// Verifies that the leaf is at [`Self::index`] in the tree of [`Self::size`] leaves with this root.
    pub fn verify(&self, leaf: NodeHash, root: NodeHash) -> Result<(), NotProven> {
        let Self { index, size, ref path } = *self;
        if index >= size {
            return Err(NotProven::NoSuchLeaf { index, size });
        }
        let length = NotProven::Length { found: path.len() };
        let mut place = Place { node: index, last: size - 1 };
        let mut found = leaf;
        for sibling in path {
            let is_left = place.up().ok_or(length)?;
            found = if is_left {
                NodeHash::of_children(sibling, &found)
            } else {
                NodeHash::of_children(&found, sibling)
            };
        }
        if place.last != 0 { Err(length) } else { expect_root(found, root) }
    }
}

impl ConsistencyProof {
    /// Verifies that the tree of [`Self::new`] leaves with the root `new` begins with the leaves of the tree of [`Self::old`] leaves
    /// with the root `old`.
    pub fn verify(&self, old: NodeHash, new: NodeHash) -> Result<(), NotProven> {
        if self.old > self.new {
            return Err(NotProven::Shrunk { old: self.old, new: self.new });
        }
        let length = NotProven::Length { found: self.path.len() };
        if self.old == 0 || self.old == self.new {
            let expected = if self.old == 0 { NodeHash::EMPTY_TREE } else { new };
            return if self.path.is_empty() { expect_root(old, expected) } else { Err(length) };
        }
        let mut place = Place { node: self.old - 1, last: self.new - 1 };
        // The largest complete subtree at the end of the old tree is in both trees.
        while place.node % 2 == 1 {
            place.shift();
        }
        let mut path = self.path.iter();
        // A complete old tree is that subtree itself, and the proof omits it.
        let start = if self.old.is_power_of_two() { old } else { *path.next().ok_or(length)? };
        let (mut found_old, mut found_new) = (start, start);
        for sibling in path {
            if place.up().ok_or(length)? {
                found_old = NodeHash::of_children(sibling, &found_old);
                found_new = NodeHash::of_children(sibling, &found_new);
            } else {
                found_new = NodeHash::of_children(&found_new, sibling);
            }
        }
        if place.last != 0 {
            return Err(length);
        }
        expect_root(found_old, old)?;
        expect_root(found_new, new)
    }
}

fn expect_root(found: NodeHash, expected: NodeHash) -> Result<(), NotProven> {
    if found == expected { Ok(()) } else { Err(NotProven::Root { found, expected }) }
}
