//! The subtrees whose hashes make up a proof.

use std::ops::Range;

use crate::audit::tiles::{FULL_WIDTH, Tile, TileKind};

/// Returns the leaves below each hash of the inclusion proof for leaf `index` in a tree of `size` leaves, in the order of the proof. The
/// index must be smaller than the size.
pub(super) fn of_inclusion(index: u64, size: u64) -> Vec<Range<u64>> {
    let mut subtrees = Vec::new();
    let mut rest = 0..size;
    while rest.end - rest.start > 1 {
        let middle = rest.start + split(rest.end - rest.start);
        let (left, right) = (rest.start..middle, middle..rest.end);
        let (inside, sibling) = if index < middle { (left, right) } else { (right, left) };
        subtrees.push(sibling);
        rest = inside;
    }
    subtrees.reverse();
    subtrees
}

/// Returns the leaves below each hash of the consistency proof from `old` to `new` leaves, in the order of the proof. The old size must
/// not be larger than the new one.
pub(super) fn of_consistency(old: u64, new: u64) -> Vec<Range<u64>> {
    let mut subtrees = Vec::new();
    if old == 0 {
        return subtrees;
    }
    let mut rest = 0..new;
    while rest.end > old {
        let middle = rest.start + split(rest.end - rest.start);
        let (left, right) = (rest.start..middle, middle..rest.end);
        let (inside, sibling) = if old <= middle { (left, right) } else { (right, left) };
        subtrees.push(sibling);
        rest = inside;
    }
    // If the old tree is this subtree, its root is known to whatever verifies the proof.
    if rest.start > 0 {
        subtrees.push(rest);
    }
    subtrees.reverse();
    subtrees
}

/// The largest power of two that is smaller than `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// A subtree of 2^`height` leaves, the `index`-th of this height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CompleteSubtree {
    height: u32,
    index: u64,
}

impl CompleteSubtree {
    /// The complete subtrees that a range of leaves consists of, from left to right. Each one is smaller than the one before it, so they are
    /// hashed together from the right. The range must be that of a subtree.
    pub(super) fn all(leaves: Range<u64>) -> impl Iterator<Item = Self> {
        let mut rest = leaves;
        std::iter::from_fn(move || {
            let count = rest.end.checked_sub(rest.start).filter(|count| *count > 0)?;
            let height = count.ilog2();
            let index = rest.start >> height;
            rest.start += 1 << height;
            Some(Self { height, index })
        })
    }

    /// The tile from whose hashes the subtree's hash follows, as a tree of `size` leaves has it.
    pub(super) fn tile(self, size: u64) -> Option<Tile> {
        let level = u8::try_from(self.height / 8).ok()?;
        Tile::in_tree(TileKind::Hashes(level), self.first() / u64::from(FULL_WIDTH), size)
    }

    /// The places of these hashes in the tile.
    pub(super) fn positions(self) -> Range<usize> {
        let start = usize::try_from(self.first() % u64::from(FULL_WIDTH)).expect("less than 256");
        start..start + (1 << (self.height % 8))
    }

    /// The index of the first hash below the subtree, on the level of its tile.
    fn first(self) -> u64 {
        self.index << (self.height % 8)
    }
}
