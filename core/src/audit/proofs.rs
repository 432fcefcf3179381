//! Proofs of RFC 6962: that a leaf is in a tree (inclusion), and that one tree is the beginning of another (consistency).
//!
//! A proof binds a root, not the size that is stated beside it: trees of other sizes in which the path to the leaf has the same form give
//! the same result. Sizes and roots must come from verified checkpoints, where a signature binds both.

mod compute;
mod subtrees;
mod text;
mod verify;

pub use self::compute::{ProofError, consistency, inclusion, root, root_within};
pub use self::text::{InvalidTlogProof, MAX_EXTRA_BYTES, MAX_TLOG_PROOF_BYTES, TlogProof, TlogProofError};
pub use self::verify::NotProven;

use super::node_hash::NodeHash;

/// The maximum number of hashes of a proof: one for each level of a tree of 2^64 leaves, and one more for the beginning of a consistency
/// proof.
pub const MAX_PROOF_HASHES: usize = 65;

/// The proof that a leaf is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The index of the leaf, from 0.
    pub index: u64,
    /// The number of leaves of the tree.
    pub size: u64,
    /// The hashes of the siblings on the way from the leaf to the root.
    pub path: Vec<NodeHash>,
}

/// The proof that a tree begins with all leaves of an older tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The number of leaves of the older tree.
    pub old: u64,
    /// The number of leaves of the newer tree.
    pub new: u64,
    /// The hashes, in the order of RFC 6962.
    pub path: Vec<NodeHash>,
}

#[cfg(test)]
mod tests;
