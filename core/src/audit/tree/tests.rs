use std::collections::BTreeMap;

use futures::executor::block_on;
use proptest::prelude::*;

use super::*;
use crate::audit::test_tree::{Tiles, commit, leaf, merkle_tree_hash, tree};

/// The contents of a tile as the specification defines them.
fn defined(tile: Tile) -> Vec<u8> {
    let ranges = (0..tile.width()).map(|position| tile.leaves(position));
    match tile.kind() {
        TileKind::Entries => {
            tiles::write_entries(&ranges.map(|(index, _)| commit(index)).collect::<Vec<_>>())
        }
        TileKind::Hashes(_) => {
            tiles::write_hashes(&ranges.map(|(start, end)| merkle_tree_hash(start, end)).collect::<Vec<_>>())
        }
    }
}

/// Mostly trees with one level above level 0, and some with two.
fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![30 => 1..1500_u64, 1 => 65_500..66_000_u64]
}

#[test]
fn the_root_of_each_size_is_the_merkle_tree_hash() {
    let mut edge = RightEdge::empty();
    assert_eq!(edge.root(), NodeHash::EMPTY_TREE);
    for size in 1..=600 {
        edge.append([commit(size - 1)]);
        assert_eq!((edge.size(), edge.root()), (size, merkle_tree_hash(0, size)));
    }
}

#[test]
fn tiles_of_level_two_are_those_of_the_specification() {
    // More than 256 full tiles of level 0.
    let (edge, stored) = tree(66_000);
    assert_eq!(edge.root(), merkle_tree_hash(0, 66_000));
    for (tile, bytes) in
        stored.0.iter().filter(|(tile, _)| tile.index() > 250 || tile.kind() > TileKind::Hashes(0))
    {
        assert_eq!(*bytes, defined(*tile), "{tile}");
    }
    let partial: Vec<String> = Tile::partial(66_000).map(|tile| tile.to_string()).collect();
    assert_eq!(partial, ["tile/entries/257.p/208", "tile/0/257.p/208", "tile/1/001.p/1", "tile/2/000.p/1"]);
    assert!(Tile::partial(66_000).all(|tile| stored.0.contains_key(&tile)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tiles_do_not_depend_on_the_size_of_batches(batches in proptest::collection::vec(0..400_u64, 0..6)) {
        let (mut edge, mut stored) = (RightEdge::empty(), BTreeMap::new());
        for batch in batches {
            let before = edge.size();
            let written = edge.append((before..before + batch).map(commit));
            for TileFile { tile, bytes } in written {
                prop_assert_eq!(&bytes, &defined(tile), "{}", tile);
                prop_assert_eq!(bytes.len(), tile.bytes());
                // No name is written twice.
                prop_assert_eq!(stored.insert(tile, bytes), None, "{}", tile);
            }
            for tile in Tile::partial(edge.size()) {
                prop_assert!(stored.contains_key(&tile), "{} is missing", tile);
            }
        }
        let (at_once, tiles) = tree(edge.size());
        prop_assert_eq!(&edge, &at_once);
        for (tile, bytes) in tiles.0 {
            prop_assert_eq!(stored.get(&tile), Some(&bytes), "{}", tile);
        }
        let read = block_on(RightEdge::read(&Tiles(stored), edge.size(), edge.root()));
        prop_assert_eq!(read.unwrap(), edge);
    }

    #[test]
    fn an_edge_that_was_changed_is_refused(size in sizes(), which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let (edge, mut tiles) = tree(size);
        let partial: Vec<Tile> = Tile::partial(size).collect();
        let tile = partial[which.index(partial.len())];
        let bytes = tiles.0.get_mut(&tile).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1;
        let error = block_on(RightEdge::read(&tiles, size, edge.root())).unwrap_err();
        match error {
            EdgeError::Root { .. } => prop_assert_ne!(tile.kind(), TileKind::Entries),
            EdgeError::Entry { leaf } => {
                prop_assert_eq!(tile.kind(), TileKind::Entries);
                prop_assert_eq!(leaf, size - u64::from(tile.width()) + (at / 34) as u64);
            }
            EdgeError::Tile(TileError::Malformed { .. }) => prop_assert!(tile.kind() == TileKind::Entries && at % 34 < 2),
            EdgeError::Tile(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
}

#[test]
fn an_edge_without_one_of_its_tiles_is_refused() {
    let (edge, tiles) = tree(66_000);
    for tile in Tile::partial(66_000) {
        let mut tiles = tiles.clone();
        tiles.0.remove(&tile);
        let error = block_on(RightEdge::read(&tiles, 66_000, edge.root())).unwrap_err();
        assert_eq!(error.to_string(), format!("{tile} is missing"));
    }
}

#[test]
fn an_edge_is_read_from_full_tiles_when_partial_ones_were_removed() {
    let (_, tiles) = tree(600);
    assert!(!tiles.0.keys().any(|tile| tile.to_string() == "tile/0/000.p/100"));
    let edge = block_on(RightEdge::read(&tiles, 100, merkle_tree_hash(0, 100))).unwrap();
    assert_eq!(edge, tree(100).0);
}

#[test]
fn the_leaf_of_a_commit_is_the_hash_of_its_32_bytes() {
    assert_eq!(tree(1).0.root(), leaf(0));
}
