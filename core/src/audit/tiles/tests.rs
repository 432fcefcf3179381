use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn paths(size: u64) -> Vec<String> {
    let kinds = [TileKind::Entries].into_iter().chain((0..=MAX_LEVEL).map(TileKind::Hashes));
    let tiles = kinds.flat_map(|kind| (0..).map_while(move |index| Tile::in_tree(kind, index, size)));
    tiles.map(|tile| tile.to_string()).collect()
}

#[test]
fn paths_are_as_in_the_specification() {
    let tile = Tile { kind: TileKind::Hashes(63), index: 1_234_067, width: 256 };
    assert_eq!(tile.to_string(), "tile/63/x001/x234/067");
    assert_eq!(Tile { index: 273, width: 112, ..tile }.to_string(), "tile/63/273.p/112");
    let largest = Tile { kind: TileKind::Entries, index: u64::MAX, width: 1 };
    assert_eq!(largest.to_string(), "tile/entries/x018/x446/x744/x073/x709/x551/615.p/1");
    assert_eq!(largest.to_string().parse(), Ok(largest));
}

#[test]
fn a_tree_has_the_tiles_of_the_examples_in_the_specification() {
    let mut counts = BTreeMap::new();
    let mut partial = Vec::new();
    for path in paths(70_000) {
        let tile: Tile = path.parse().unwrap();
        if tile.is_partial() {
            partial.push(path);
        } else {
            *counts.entry(tile.kind()).or_insert(0) += 1;
        }
    }
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [(TileKind::Entries, 273), (TileKind::Hashes(0), 273), (TileKind::Hashes(1), 1)]
    );
    let expected = ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"];
    assert_eq!(partial, expected);
    assert_eq!(Tile::partial(70_000).map(|tile| tile.to_string()).collect::<Vec<_>>(), expected);
    assert_eq!(paths(256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(paths(0), Vec::<String>::new());
}

#[test]
fn other_spellings_of_a_path_are_refused() {
    for path in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/00/000",
        "tile/64/000",
        "tile/-0/000",
        "tile/+1/000",
        "tile/256/000",
        "tile/data/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/001",
        "tile/0/001/234",
        "tile/0/x001/x234",
        "tile/0/x01/234",
        "tile/0/X001/234",
        "tile/0/+01",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/1/2",
        "tile/0/000.p/1.p/1",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x001/x018/x446/x744/x073/x709/x551/615",
        "tile/0/x000/x018/x446/x744/x073/x709/x551/615",
        "tile/0/000\n",
    ] {
        assert_eq!(path.parse::<Tile>(), Err(InvalidTilePath), "{path:?}");
    }
}

fn any_tile() -> impl Strategy<Value = Tile> {
    let kind = prop_oneof![Just(TileKind::Entries), (0..=MAX_LEVEL).prop_map(TileKind::Hashes)];
    let index = (any::<u64>(), 0..64_u32).prop_map(|(index, shift)| index >> shift);
    (kind, index, 1..=FULL_WIDTH).prop_map(|(kind, index, width)| Tile { kind, index, width })
}

proptest! {
    #[test]
    fn a_path_that_was_written_is_read_as_the_same_tile(tile in any_tile()) {
        prop_assert_eq!(tile.to_string().parse(), Ok(tile));
    }

    #[test]
    fn an_accepted_path_is_the_one_that_is_written(path in "tile/([0-9]{1,2}|entries)(/x?[0-9]{2,4}){1,8}(\\.p/[0-9]{1,3})?") {
        if let Ok(tile) = path.parse::<Tile>() {
            prop_assert_eq!(tile.to_string(), path);
        }
    }

    #[test]
    fn every_leaf_is_below_one_item_of_each_level(leaf in 0..u64::MAX, level in 0..8_u8) {
        let kind = TileKind::Hashes(level);
        let item = kind.count(leaf);
        let tile = Tile::in_tree(kind, item / 256, u64::MAX).expect("the tree is larger");
        let (first, end) = tile.leaves(u16::try_from(item % 256).expect("a remainder of 256"));
        prop_assert!((first..end).contains(&leaf));
        prop_assert_eq!((kind.count(first), kind.count(end - 1)), (item, item));
        prop_assert!(end == u64::MAX || kind.count(end) == item + 1, "{end} is below the same item");
    }

    #[test]
    fn contents_that_were_written_are_read_again(items in proptest::collection::vec(any::<[u8; 32]>(), 0..300)) {
        let hashes: Vec<_> = items.iter().copied().map(NodeHash::from_bytes).collect();
        prop_assert_eq!(read_hashes(&write_hashes(&hashes)), Some(hashes));
        let entries: Vec<_> = items.into_iter().map(CommitHash::from_bytes).collect();
        prop_assert_eq!(read_entries(&write_entries(&entries)), Some(entries));
    }

    #[test]
    fn contents_are_read_only_as_they_are_written(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(hashes) = read_hashes(&bytes) {
            prop_assert_eq!(write_hashes(&hashes), &bytes[..]);
        }
        if let Some(entries) = read_entries(&bytes) {
            prop_assert_eq!(write_entries(&entries), bytes);
        }
    }
}

#[test]
fn an_entry_of_another_length_is_refused() {
    let mut bundle = write_entries(&[CommitHash::GENESIS; 2]);
    assert_eq!(&bundle[..3], [0, 32, 0]);
    assert!(read_entries(&bundle[..67]).is_none());
    bundle[35] = 31;
    assert!(read_entries(&bundle).is_none());
}
