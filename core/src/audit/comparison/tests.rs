use futures::executor::block_on;
use proptest::prelude::*;

use super::*;
use crate::audit::test_tree::{Tiles, commit, tree};

fn checkpoint(size: u64, root: NodeHash) -> Checkpoint {
    Checkpoint::new("streamio.example/acme", size, root).unwrap()
}

/// A store of tiles, the checkpoint and the commits of a tree.
fn sound(size: u64) -> (Tiles, Checkpoint, Vec<CommitHash>) {
    let (edge, tiles) = tree(size);
    (tiles, checkpoint(size, edge.root()), (0..size).map(commit).collect())
}

/// Mostly trees with one level above level 0, and some with two.
fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![30 => 1..1500_u64, 1 => 65_500..66_000_u64]
}

fn compared(tiles: &Tiles, checkpoint: &Checkpoint, commits: &[CommitHash]) -> Vec<Finding> {
    block_on(compare(tiles, checkpoint, commits.iter().copied())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_not_changed_matches(size in 0..1500_u64, more in 0..600_u64) {
        let (tiles, checkpoint, mut commits) = sound(size);
        prop_assert_eq!(compared(&tiles, &checkpoint, &commits), []);
        // The feed has grown, and so have the tiles: partial ones were removed.
        commits.extend((size..size + more).map(commit));
        let (_, mut grown) = tree(size + more);
        grown.0.extend(Tile::partial(size).filter(|tile| !grown.0.contains_key(&tile.full())).map(|tile| (tile, tiles.0[&tile].clone())).collect::<Vec<_>>());
        prop_assert_eq!(compared(&grown, &checkpoint, &commits), []);
    }

    #[test]
    fn a_changed_commit_is_named(size in 1..1500_u64, at in any::<prop::sample::Index>()) {
        let (tiles, checkpoint, mut commits) = sound(size);
        let at = at.index(commits.len());
        commits[at] = commit(u64::MAX);
        let leaf = at as u64;
        let tile = Tile::in_tree(TileKind::Entries, leaf / 256, size).unwrap();
        prop_assert_eq!(compared(&tiles, &checkpoint, &commits), [Finding::Commit { leaf, tile }]);
    }

    #[test]
    fn the_place_of_a_removed_commit_is_named(size in 1..1500_u64, at in any::<prop::sample::Index>()) {
        let (tiles, checkpoint, mut commits) = sound(size);
        let at = at.index(commits.len());
        commits.remove(at);
        let found = compared(&tiles, &checkpoint, &commits);
        if at == commits.len() {
            prop_assert_eq!(found, [Finding::CutTail { size, found: size - 1 }]);
        } else {
            let named = matches!(found[..], [Finding::Commit { leaf, .. }] if leaf == at as u64);
            prop_assert!(named, "{found:?}");
        }
    }

    #[test]
    fn the_place_of_an_inserted_commit_is_named(size in 1..1500_u64, at in any::<prop::sample::Index>()) {
        let (tiles, checkpoint, mut commits) = sound(size);
        let at = at.index(commits.len());
        commits.insert(at, commit(u64::MAX));
        let found = compared(&tiles, &checkpoint, &commits);
        let named = matches!(found[..], [Finding::Commit { leaf, .. }] if leaf == at as u64);
        prop_assert!(named, "{found:?}");
    }

    /// A tile of leaves is damaged by itself, and a commit was changed elsewhere: neither hides the other.
    #[test]
    fn a_damaged_tile_and_a_changed_commit_are_both_named(
        size in 2..1500_u64,
        (damaged, changed) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        (is_entry, is_missing) in any::<(bool, bool)>(),
    ) {
        let (mut tiles, checkpoint, mut commits) = sound(size);
        let (damaged, changed) = (damaged.index(commits.len()) as u64, changed.index(commits.len()));
        prop_assume!(damaged != changed as u64);
        commits[changed] = commit(u64::MAX);
        let kind = if is_entry { TileKind::Entries } else { TileKind::Hashes(0) };
        let tile = Tile::in_tree(kind, damaged / 256, size).unwrap();
        let position = u16::try_from(damaged % 256).unwrap();
        let fault = if is_missing {
            tiles.0.remove(&tile);
            Fault::Missing
        } else {
            // The last byte: the first ones of an entry are its length.
            let end = (usize::from(position) + 1) * kind.item_bytes();
            tiles.0.get_mut(&tile).unwrap()[end - 1] ^= 1;
            Fault::Item(position)
        };
        let found = compared(&tiles, &checkpoint, &commits);
        let leaf = changed as u64;
        // Of two damaged or changed leaves in different tiles, what comes after the changed commit is not compared.
        let is_hidden = damaged / 256 > leaf / 256 && changed / 256 < commits.len() / 256;
        let named = |finding: &Finding| matches!(finding, Finding::Commit { leaf: named, .. } if *named == leaf);
        match &found[..] {
            [damage, of_commit] => {
                prop_assert_eq!(*damage, Finding::Tile { tile, fault });
                prop_assert!(named(of_commit), "{of_commit}");
            }
            [of_commit] => prop_assert!(is_hidden && named(of_commit), "{of_commit}"),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_damaged_tile_is_named(size in sizes(), which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let (mut tiles, checkpoint, commits) = sound(size);
        let tile = *tiles.0.keys().nth(which.index(tiles.0.len())).unwrap();
        let mut damaged = |change: fn(&mut Vec<u8>, usize)| {
            let sound = tiles.0[&tile].clone();
            let at = at.index(sound.len());
            change(tiles.0.get_mut(&tile).unwrap(), at);
            let found = compared(&tiles, &checkpoint, &commits);
            tiles.0.insert(tile, sound);
            (at, found)
        };
        let (at, found) = damaged(|bytes, at| bytes[at] ^= 1);
        let position = u16::try_from(at / tile.kind().item_bytes()).unwrap();
        prop_assert_eq!(found, [Finding::Tile { tile, fault: Fault::Item(position) }]);
        let (at, found) = damaged(Vec::truncate);
        prop_assert_eq!(found, [Finding::Tile { tile, fault: Fault::Length(at) }]);
        tiles.0.remove(&tile);
        prop_assert_eq!(compared(&tiles, &checkpoint, &commits), [Finding::Tile { tile, fault: Fault::Missing }]);
    }
}

#[test]
fn a_checkpoint_of_another_tree_is_found() {
    let (tiles, _, commits) = sound(300);
    let expected = commit_root(299);
    let found = compared(&tiles, &checkpoint(300, expected), &commits);
    assert_eq!(found, [Finding::Checkpoint { size: 300, found: commit_root(300), expected }]);
}

fn commit_root(size: u64) -> NodeHash {
    tree(size).0.root()
}

#[test]
fn commits_and_tiles_that_were_changed_together_are_found() {
    let (tiles, checkpoint, mut commits) = sound(1000);
    commits[300] = commit(u64::MAX);
    let mut edge = RightEdge::empty();
    let changed: Vec<TileFile> = edge.append(commits.iter().copied());
    // Level 1 was forgotten, so the tile of level 0 no longer matches it.
    let mut partly = tiles.clone();
    partly.0.extend(
        changed
            .iter()
            .filter(|file| file.tile.kind() != TileKind::Hashes(1))
            .map(|file| (file.tile, file.bytes.clone())),
    );
    let tile: Tile = "tile/1/000.p/3".parse().unwrap();
    let finding = Finding::CommitAmong { first: 256, last: 511, tile, fault: Fault::Item(1) };
    assert_eq!(compared(&partly, &checkpoint, &commits), [finding]);
    let all = Tiles(changed.into_iter().map(|file| (file.tile, file.bytes)).collect());
    let found = compared(&all, &checkpoint, &commits);
    assert_eq!(found, [Finding::Checkpoint { size: 1000, found: edge.root(), expected: checkpoint.root() }]);
}

#[test]
fn a_finding_says_what_is_wrong() {
    let tile: Tile = "tile/0/003.p/7".parse().unwrap();
    assert_eq!(
        Finding::Tile { tile, fault: Fault::Item(2) }.to_string(),
        "tile/0/003.p/7 is damaged: its item 2 was changed"
    );
    assert_eq!(
        Finding::Commit { leaf: 770, tile }.to_string(),
        "commit 770 of the feed was changed, removed or inserted: it differs from tile/0/003.p/7, and the root from the checkpoint's"
    );
}
