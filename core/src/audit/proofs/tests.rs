use futures::executor::block_on;
use proptest::prelude::*;

use super::*;
use crate::audit::checkpoint::{Checkpoint, CheckpointError};
use crate::audit::note::{NoteError, NoteSigner, VerifierKey};
use crate::audit::test_tree::{Tiles, commit, leaf, merkle_tree_hash, split, tree};

/// The audit path of RFC 6962, section 2.1.1, and for each hash whether it is to the left.
fn audit_path(index: u64, start: u64, end: u64) -> Vec<(bool, NodeHash)> {
    if end - start == 1 {
        return Vec::new();
    }
    let middle = start + split(end - start);
    let (mut path, last) = if index < middle {
        (audit_path(index, start, middle), (false, merkle_tree_hash(middle, end)))
    } else {
        (audit_path(index, middle, end), (true, merkle_tree_hash(start, middle)))
    };
    path.push(last);
    path
}

/// SUBPROOF of RFC 6962, section 2.1.2, and for each hash its role: to the right, to the left, or the beginning.
fn subproof(old: u64, start: u64, end: u64, is_known: bool) -> Vec<(char, NodeHash)> {
    if old == end {
        return if is_known { Vec::new() } else { vec![('b', merkle_tree_hash(start, end))] };
    }
    let middle = start + split(end - start);
    let (mut path, last) = if old <= middle {
        (subproof(old, start, middle, is_known), ('r', merkle_tree_hash(middle, end)))
    } else {
        (subproof(old, middle, end, false), ('l', merkle_tree_hash(start, middle)))
    };
    path.push(last);
    path
}

fn sides(index: u64, size: u64) -> Option<Vec<bool>> {
    (index < size).then(|| audit_path(index, 0, size).into_iter().map(|(is_left, _)| is_left).collect())
}

fn roles(old: u64, new: u64) -> Option<Vec<char>> {
    (0 < old && old < new).then(|| subproof(old, 0, new, true).into_iter().map(|(role, _)| role).collect())
}

fn tiles_of(size: u64) -> Tiles {
    tree(size).1
}

fn inclusion_by_definition(index: u64, size: u64) -> InclusionProof {
    let path = audit_path(index, 0, size).into_iter().map(|(_, hash)| hash).collect();
    InclusionProof { index, size, path }
}

fn consistency_by_definition(old: u64, new: u64) -> ConsistencyProof {
    let path = if old == 0 { Vec::new() } else { subproof(old, 0, new, true) };
    ConsistencyProof { old, new, path: path.into_iter().map(|(_, hash)| hash).collect() }
}

const LARGEST: u64 = 300;

#[test]
fn every_leaf_of_every_tree_is_proven() {
    for size in 0..=LARGEST {
        for index in 0..size {
            let proof = inclusion_by_definition(index, size);
            assert_eq!(proof.verify(leaf(index), merkle_tree_hash(0, size)), Ok(()), "{index} of {size}");
        }
    }
}

#[test]
fn every_tree_is_consistent_with_every_older_one() {
    for new in 0..=LARGEST {
        for old in 0..=new {
            let proof = consistency_by_definition(old, new);
            let verified = proof.verify(merkle_tree_hash(0, old), merkle_tree_hash(0, new));
            assert_eq!(verified, Ok(()), "{old} in {new}");
        }
    }
}

/// All proofs of small trees, and of trees around the width of a tile.
#[test]
fn proofs_from_tiles_are_those_that_rfc_6962_defines() {
    for size in (0..=40).chain([127, 128, 129, 255, 256, 257, LARGEST]) {
        let tiles = tiles_of(size);
        assert_eq!(block_on(root(&tiles, size)).unwrap(), merkle_tree_hash(0, size));
        for index in 0..size {
            assert_eq!(
                block_on(inclusion(&tiles, index, size)).unwrap(),
                inclusion_by_definition(index, size)
            );
        }
        for old in 0..=size {
            assert_eq!(
                block_on(consistency(&tiles, old, size)).unwrap(),
                consistency_by_definition(old, size)
            );
        }
        let error = block_on(inclusion(&tiles, size, size)).unwrap_err();
        assert!(matches!(error, ProofError::NoSuchLeaf { .. }));
        let error = block_on(consistency(&tiles, size + 1, size)).unwrap_err();
        assert!(matches!(error, ProofError::Shrunk { .. }));
    }
}

/// The proofs of the example in RFC 6962 (section 2.1.3), a tree of seven leaves. The names are those of its figure.
#[test]
fn the_examples_of_rfc_6962_are_computed() {
    let tiles = tiles_of(7);
    let node = |name: char| match name {
        'b' => merkle_tree_hash(1, 2),
        'c' => merkle_tree_hash(2, 3),
        'd' => merkle_tree_hash(3, 4),
        'f' => merkle_tree_hash(5, 6),
        'g' => merkle_tree_hash(0, 2),
        'h' => merkle_tree_hash(2, 4),
        'i' => merkle_tree_hash(4, 6),
        'j' => merkle_tree_hash(6, 7),
        'k' => merkle_tree_hash(0, 4),
        'l' => merkle_tree_hash(4, 7),
        _ => unreachable!("the figure has no other node"),
    };
    for (index, path) in [(0, "bhl"), (3, "cgl"), (4, "fjk"), (6, "ik")] {
        let expected: Vec<_> = path.chars().map(node).collect();
        assert_eq!(block_on(inclusion(&tiles, index, 7)).unwrap().path, expected, "{index}");
    }
    for (old, path) in [(3, "cdgl"), (4, "l"), (6, "ijk")] {
        let expected: Vec<_> = path.chars().map(node).collect();
        assert_eq!(block_on(consistency(&tiles, old, 7)).unwrap().path, expected, "{old}");
    }
}

fn flipped(hash: NodeHash, at: prop::sample::Index, change: u8) -> NodeHash {
    let mut bytes = *hash.as_bytes();
    bytes[at.index(32)] ^= change;
    NodeHash::from_bytes(bytes)
}

proptest! {
    #[test]
    fn proofs_from_many_tiles_are_those_that_rfc_6962_defines(old in 1..1500_u64, more in 0..700_u64) {
        let (new, index) = (old + more, old - 1);
        let tiles = tiles_of(new);
        prop_assert_eq!(block_on(root_within(&tiles, old, new)).unwrap(), merkle_tree_hash(0, old));
        prop_assert_eq!(block_on(inclusion(&tiles, index, new)).unwrap(), inclusion_by_definition(index, new));
        prop_assert_eq!(block_on(consistency(&tiles, old, new)).unwrap(), consistency_by_definition(old, new));
    }

    #[test]
    fn a_changed_inclusion_proof_is_refused(
        index in 0..LARGEST, rest in 1..LARGEST, at in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), change in 1..=255_u8,
        other in 0..2 * LARGEST,
    ) {
        let size = index + rest;
        let (root, tiles) = (merkle_tree_hash(0, size), tiles_of(size));
        let proof = block_on(inclusion(&tiles, index, size)).unwrap();
        prop_assert!(proof.verify(leaf(index), root).is_ok());
        prop_assert!(proof.verify(flipped(leaf(index), byte, change), root).is_err());
        prop_assert!(proof.verify(leaf(index), flipped(root, byte, change)).is_err());
        if !proof.path.is_empty() {
            let mut changed = proof.clone();
            let at = at.index(changed.path.len());
            changed.path[at] = flipped(changed.path[at], byte, change);
            prop_assert!(changed.verify(leaf(index), root).is_err());
            changed.path.remove(at);
            prop_assert!(changed.verify(leaf(index), root).is_err());
        }
        let mut longer = proof.clone();
        longer.path.insert(at.index(proof.path.len() + 1), root);
        prop_assert!(longer.verify(leaf(index), root).is_err());
        // Another index or size is accepted only where the way to the root has the same form: a size is bound by the checkpoint.
        let moved = InclusionProof { index: other, ..proof.clone() };
        prop_assert_eq!(moved.verify(leaf(index), root).is_ok(), other == index);
        let resized = InclusionProof { size: other, ..proof };
        prop_assert_eq!(resized.verify(leaf(index), root).is_ok(), sides(index, other) == sides(index, size));
    }

    #[test]
    fn a_changed_consistency_proof_is_refused(
        old in 1..LARGEST, more in 1..LARGEST, at in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), change in 1..=255_u8,
        other in 1..2 * LARGEST,
    ) {
        let new = old + more;
        let (old_root, new_root, tiles) = (merkle_tree_hash(0, old), merkle_tree_hash(0, new), tiles_of(new));
        let proof = block_on(consistency(&tiles, old, new)).unwrap();
        prop_assert!(proof.verify(old_root, new_root).is_ok());
        prop_assert!(proof.verify(flipped(old_root, byte, change), new_root).is_err());
        prop_assert!(proof.verify(old_root, flipped(new_root, byte, change)).is_err());
        let mut changed = proof.clone();
        let at_hash = at.index(changed.path.len());
        changed.path[at_hash] = flipped(changed.path[at_hash], byte, change);
        prop_assert!(changed.verify(old_root, new_root).is_err());
        changed.path.remove(at_hash);
        prop_assert!(changed.verify(old_root, new_root).is_err());
        let mut longer = proof.clone();
        longer.path.insert(at.index(proof.path.len() + 1), new_root);
        prop_assert!(longer.verify(old_root, new_root).is_err());
        let other_old = ConsistencyProof { old: other, ..proof.clone() };
        prop_assert_eq!(other_old.verify(old_root, new_root).is_ok(), roles(other, new) == roles(old, new));
        let other_new = ConsistencyProof { new: other, ..proof };
        prop_assert_eq!(other_new.verify(old_root, new_root).is_ok(), roles(old, other) == roles(old, new));
    }

    #[test]
    fn any_numbers_and_hashes_are_verified_without_a_panic(a in any::<u64>(), b in any::<u64>(), shift in 0..64_u32, hashes in 0..70_usize) {
        let hash = NodeHash::EMPTY_TREE;
        let (a, path) = (a >> shift, vec![hash; hashes]);
        let _ = InclusionProof { index: a, size: b, path: path.clone() }.verify(hash, hash);
        let _ = ConsistencyProof { old: a, new: b, path }.verify(hash, hash);
    }
}

#[test]
fn proofs_of_the_largest_trees_need_no_more_than_the_maximum_of_hashes() {
    let largest = u64::MAX;
    let longest = |subtrees: Vec<_>| subtrees.len() <= MAX_PROOF_HASHES;
    for number in (0..64).flat_map(|bit| [1_u64 << bit, largest >> bit, largest << bit, (1 << bit) - 1]) {
        assert!(number == largest || longest(subtrees::of_inclusion(number, largest)), "{number}");
        assert!(longest(subtrees::of_consistency(number, largest)), "{number}");
    }
}

#[test]
fn every_tree_begins_with_the_empty_tree() {
    let proof = ConsistencyProof { old: 0, new: 3, path: Vec::new() };
    assert_eq!(proof.verify(NodeHash::EMPTY_TREE, leaf(1)), Ok(()));
    assert!(proof.verify(leaf(0), leaf(1)).is_err());
    let proof = ConsistencyProof { path: vec![leaf(0)], ..proof };
    assert_eq!(proof.verify(NodeHash::EMPTY_TREE, leaf(1)), Err(NotProven::Length { found: 1 }));
    let proof = ConsistencyProof { old: 2, new: 2, path: Vec::new() };
    assert_eq!(proof.verify(leaf(0), leaf(0)), Ok(()));
    assert!(proof.verify(leaf(0), leaf(1)).is_err());
}

#[test]
fn a_proof_without_a_tile_is_an_error_that_names_it() {
    let (_, mut tiles) = tree(600);
    let name = "tile/0/001".parse().unwrap();
    tiles.0.remove(&name);
    let error = block_on(inclusion(&tiles, 300, 600)).unwrap_err();
    assert_eq!(error.to_string(), "tile/0/001 is missing");
    tiles.0.insert(name, vec![0; 8191]);
    let error = block_on(inclusion(&tiles, 300, 600)).unwrap_err();
    assert_eq!(error.to_string(), "tile/0/001 has 8191 bytes, which are not 256 items of 32 bytes");
}

fn signer() -> NoteSigner {
    NoteSigner::from_seed("streamio.example/acme", &[1; 32]).unwrap()
}

fn keys() -> Vec<VerifierKey> {
    vec![signer().verifier_key().clone()]
}

fn tlog_proof(index: u64, size: u64, extra: &[u8]) -> TlogProof {
    let path = block_on(inclusion(&tiles_of(size), index, size)).unwrap().path;
    let checkpoint = Checkpoint::new("streamio.example/acme", size, merkle_tree_hash(0, size)).unwrap();
    TlogProof { extra: extra.to_vec(), index, path, checkpoint: checkpoint.sign(&[&signer()]).unwrap() }
}

#[test]
fn a_proof_is_written_as_the_specification_states() {
    let text = tlog_proof(1, 3, b"extra data").to_string();
    let expected = format!(
        "c2sp.org/tlog-proof@v1\nextra ZXh0cmEgZGF0YQ==\nindex 1\n{}\n{}\n\nstreamio.example/acme\n3\n{}\n\n— streamio.example/acme ",
        leaf(0),
        leaf(2),
        merkle_tree_hash(0, 3),
    );
    assert!(text.starts_with(&expected), "{text}");
    assert!(
        tlog_proof(0, 1, b"")
            .to_string()
            .starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nstreamio.example/acme\n1\n")
    );
}

#[test]
fn texts_that_are_no_proofs_are_refused() {
    let text = tlog_proof(1, 3, b"extra data").to_string();
    let path = leaf(0).to_string();
    let many = format!("{path}\n").repeat(MAX_PROOF_HASHES + 1);
    for (from, to, error) in [
        ("@v1", "@v2", "the first line"),
        ("c2sp", "\nc2sp", "the first line"),
        ("@v1\n", "@v1\r\n", "the first line"),
        ("extra ", "extra  ", "the line `extra`"),
        ("extra ZXh0cmEgZGF0YQ==", "extra ", "the line `extra`"),
        ("ZXh0cmEgZGF0YQ==", "ZXh0cmEgZGF0YQ", "the line `extra`"),
        ("extra ", "extra", "there is no line `index`"),
        ("index 1", "index 01", "there is no line `index`"),
        ("index 1", "index -1", "there is no line `index`"),
        ("index 1", "index  1", "there is no line `index`"),
        ("index 1\n", "", "there is no line `index`"),
        (&path, "AAAA", "after the index"),
        (&format!("{path}\n"), &many, "after the index"),
        ("index 1\n", "index 1\n\n", "the text after the empty line"),
        ("\n3\n", "\n03\n", "the text after the empty line"),
        ("\n\n— ", "\n— ", "the text after the empty line"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from:?}");
        let refused = changed.parse::<TlogProof>().unwrap_err().to_string();
        assert!(refused.starts_with(error), "{from:?} to {to:?}: {refused}");
    }
    assert_eq!("a".repeat(400_000).parse::<TlogProof>(), Err(InvalidTlogProof::Size(400_000)));
}

proptest! {
    #[test]
    fn a_proof_is_read_as_it_was_written_and_verified(index in 0..LARGEST, rest in 1..LARGEST, extra in proptest::collection::vec(any::<u8>(), 0..50)) {
        let proof = tlog_proof(index, index + rest, &extra);
        let read: TlogProof = proof.to_string().parse().unwrap();
        prop_assert_eq!(&read, &proof);
        prop_assert_eq!(read.verify(commit(index), &keys()).unwrap().size(), index + rest);
        let wrong_root = matches!(read.verify(commit(index + 1), &keys()), Err(TlogProofError::Inclusion(NotProven::Root { .. })));
        prop_assert!(wrong_root);
        let stranger = [NoteSigner::from_seed("streamio.example/acme", &[2; 32]).unwrap().verifier_key().clone()];
        let unsigned = matches!(
            read.verify(commit(index), &stranger),
            Err(TlogProofError::Checkpoint(CheckpointError::Note(NoteError::NoKnownKey)))
        );
        prop_assert!(unsigned);
    }

    #[test]
    fn a_proof_with_a_changed_byte_is_refused(index in 0..20_u64, rest in 1..20_u64, at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut bytes = tlog_proof(index, index + rest, b"").to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let accepted = String::from_utf8(bytes).is_ok_and(|text| {
            text.parse::<TlogProof>().is_ok_and(|proof| proof.verify(commit(index), &keys()).is_ok())
        });
        prop_assert!(!accepted);
    }
}
