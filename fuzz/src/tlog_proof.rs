//! Proofs that a commit is in the transparency log.

use streamio_core::audit::node_hash::NodeHash;
use streamio_core::audit::note::NoteSigner;
use streamio_core::audit::proofs::{
    ConsistencyProof, InclusionProof, MAX_EXTRA_BYTES, MAX_PROOF_HASHES, MAX_TLOG_PROOF_BYTES, TlogProof,
};
use streamio_events::commit::CommitHash;

use crate::text;

/// A proof that is accepted is in its only spelling and within the limits. The hashes prove what they prove by the recursive
/// definition of RFC 6962 too. The seeds are of the commit whose hash is all zeros and signed by the key with the seed 1, 1, 1, ….
pub fn check(data: &[u8]) {
    let Some(text) = text::of(data) else { return };
    let Ok(proof) = text.parse::<TlogProof>() else { return };
    assert_eq!(proof.to_string(), text);
    assert!(text.len() <= MAX_TLOG_PROOF_BYTES);
    assert!(proof.path.len() <= MAX_PROOF_HASHES && proof.extra.len() <= MAX_EXTRA_BYTES);
    let leaf = NodeHash::of_leaf(CommitHash::GENESIS.as_bytes());
    let signer = NoteSigner::from_seed("streamio.example/acme", &[1; 32]).expect("the name is one of a key");
    if let Ok(checkpoint) = proof.verify(CommitHash::GENESIS, &[signer.verifier_key().clone()]) {
        let root = root_from(leaf, proof.index, checkpoint.size(), &proof.path);
        assert_eq!(root, Some(checkpoint.root()));
    }
    // Any sizes, such as the checkpoint's own, which need not be signed by a known key.
    let size = text.lines().skip_while(|line| !line.is_empty()).nth(2).and_then(|size| size.parse().ok());
    let (index, size) = (proof.index, size.unwrap_or(proof.index));
    if let Some(root) = root_from(leaf, index, size, &proof.path) {
        let proof = InclusionProof { index, size, path: proof.path.clone() };
        assert_eq!(proof.verify(leaf, root), Ok(()));
        assert!(proof.verify(leaf, NodeHash::EMPTY_TREE).is_err());
    } else {
        let proof = InclusionProof { index, size, path: proof.path.clone() };
        assert!(proof.verify(leaf, leaf).is_err());
    }
    let consistency = ConsistencyProof { old: index, new: size, path: proof.path };
    let unproven = consistency.verify(leaf, NodeHash::EMPTY_TREE);
    assert!(unproven.is_err(), "the empty tree's root is that of no other tree");
}

/// The root that follows from an inclusion proof by the definition of the audit path (RFC 6962, section 2.1.1); `None` if the path has
/// another length or the tree no such leaf.
fn root_from(leaf: NodeHash, index: u64, size: u64, path: &[NodeHash]) -> Option<NodeHash> {
    if index >= size {
        return None;
    }
    let Some((last, rest)) = path.split_last() else { return (size == 1).then_some(leaf) };
    let middle = size.checked_next_power_of_two().map_or(1 << 63, |power| power / 2);
    if size == 1 {
        None
    } else if index < middle {
        Some(NodeHash::of_children(&root_from(leaf, index, middle, rest)?, last))
    } else {
        Some(NodeHash::of_children(last, &root_from(leaf, index - middle, size - middle, rest)?))
    }
}
