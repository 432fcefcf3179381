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
fn all_damaged_tiles_are_named_while_the_root_is_right() {
    let (mut tiles, checkpoint, commits) = sound(1500);
    let all: Vec<Tile> = tiles.0.keys().copied().collect();
    for (number, tile) in all.iter().enumerate().filter(|(number, _)| number % 3 > 0) {
        if number % 3 == 1 {
            tiles.0.get_mut(tile).unwrap()[40] ^= 1;
        } else {
            tiles.0.remove(tile);
        }
    }
    let mut found: Vec<_> = compared(&tiles, &checkpoint, &commits)
        .into_iter()
        .map(|finding| match finding {
            Finding::Tile { tile, fault } => (tile, fault),
            other => panic!("{other}"),
        })
        .collect();
    found.sort_by_key(|(tile, _)| *tile);
    let fault = |number, tile: &Tile| match number % 3 {
        1 => Some(Fault::Item(u16::try_from(40 / tile.kind().item_bytes()).unwrap())),
        2 => Some(Fault::Missing),
        _ => None,
    };
    let expected = all.iter().enumerate().filter_map(|(number, tile)| Some((*tile, fault(number, tile)?)));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn only_so_many_damaged_tiles_are_named() {
    let (mut tiles, checkpoint, commits) = sound(MAX_DAMAGED as u64 * 256);
    for bytes in tiles.0.values_mut() {
        bytes.truncate(1);
    }
    let found = compared(&tiles, &checkpoint, &commits);
    let (last, named) = found.split_last().unwrap();
    assert_eq!((named.len(), *last), (MAX_DAMAGED, Finding::MoreTiles { named: MAX_DAMAGED }));
    assert!(named.iter().all(|finding| matches!(finding, Finding::Tile { fault: Fault::Length(1), .. })));
}

#[test]
fn a_changed_commit_is_named_after_many_damaged_tiles() {
    let (mut tiles, checkpoint, mut commits) = sound((MAX_DAMAGED as u64 + 9) * 256);
    let entries = tiles.0.iter_mut().filter(|(tile, _)| tile.kind() == TileKind::Entries);
    for (_, bytes) in entries.take(MAX_DAMAGED + 2) {
        bytes.truncate(1);
    }
    let changed = (MAX_DAMAGED as u64 + 5) * 256 + 7;
    commits[usize::try_from(changed).unwrap()] = commit(u64::MAX);
    let found = compared(&tiles, &checkpoint, &commits);
    assert!(matches!(found[..], [_, Finding::Commit { leaf, .. }] if leaf == changed), "{found:?}");
}

#[test]
fn without_any_tile_only_the_roots_are_compared() {
    for size in [1, 300, MAX_DAMAGED as u64 * 256] {
        let (_, checkpoint, mut commits) = sound(size);
        let none = Tiles::default();
        let compare = |commits: &[CommitHash]| {
            let mut comparison = Comparison::new(&none, &checkpoint);
            for commit in commits {
                block_on(comparison.follow(*commit)).unwrap();
            }
            block_on(comparison.finish()).unwrap()
        };
        let sound = Compared { findings: vec![], is_signed: true, has_tiles: false };
        assert_eq!(compare(&commits), sound);
        commits[0] = commit(u64::MAX);
        let found = compare(&commits);
        assert!(matches!(found.findings[..], [Finding::Root { .. }]) && !found.is_signed, "{found:?}");
        commits.pop();
        assert_eq!(compare(&commits).findings, [Finding::CutTail { size, found: size - 1 }]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Tiles that were stored before a crash or since the checkpoint was read.
    #[test]
    fn tiles_of_a_larger_tree_match_unless_a_commit_below_them_was_changed(
        size in 0..600_u64,
        more in 1..600_u64,
        beyond in 0..300_u64,
        changed in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (_, tiles) = tree(size + more);
        let mut commits: Vec<_> = (0..size + more + beyond).map(commit).collect();
        let changed = changed.map(|at| at.index(commits.len()));
        if let Some(at) = changed {
            commits[at] = commit(u64::MAX);
        }
        let mut later = LaterTiles::new(&tiles, size, tiles.0.keys().copied());
        for commit in commits {
            block_on(later.follow(commit)).unwrap();
        }
        let found = block_on(later.finish()).unwrap();
        // The tiles that end after the checkpoint's tree.
        let first = size / 256 * 256;
        let is_found = changed.is_some_and(|at| (first..size + more).contains(&(at as u64)));
        let named = |finding: &Finding| match finding {
            Finding::LaterTile { tile, fault: Fault::Item(item) } => {
                let (first, end) = tile.leaves(*item);
                changed.is_some_and(|at| (first..end).contains(&(at as u64)))
            }
            _ => false,
        };
        prop_assert!(found.iter().all(named), "{found:?}");
        prop_assert!(!is_found || !found.is_empty());
    }

    #[test]
    fn tiles_of_commits_that_were_removed_are_found(size in 0..600_u64, more in 1..600_u64, removed in 1..300_u64) {
        let (_, tiles) = tree(size + more);
        let left = (size + more).saturating_sub(removed).max(size);
        prop_assume!(left < size + more);
        let mut later = LaterTiles::new(&tiles, size, tiles.0.keys().copied());
        for leaf in 0..left {
            block_on(later.follow(commit(leaf))).unwrap();
        }
        let found = block_on(later.finish()).unwrap();
        prop_assert!(!found.is_empty());
        prop_assert!(found.iter().all(|finding| matches!(finding, Finding::LaterCommits { .. })), "{found:?}");
    }

    /// The first known root that is wrong, and the last one before it that is right, tell where a commit was changed.
    #[test]
    fn known_checkpoints_tell_between_which_of_them_a_commit_was_changed(
        sizes in prop::collection::btree_set(0..1200_u64, 1..8),
        changed in prop::option::of(0..1200_u64),
        length in 0..1300_u64,
    ) {
        let known: Vec<_> = sizes.iter().map(|size| Known {
            name: size.to_string(),
            checkpoint: checkpoint(*size, commit_root(*size)),
        }).collect();
        let mut roots = KnownRoots::new(known);
        for leaf in 0..length {
            roots.follow(commit(if changed == Some(leaf) { u64::MAX } else { leaf }));
        }
        let changed = changed.filter(|changed| *changed < length);
        let wrong = sizes.iter().find(|size| **size > length || changed.is_some_and(|at| at < **size));
        let expected = wrong.map(|size| {
            let name = size.to_string();
            if *size > length {
                return RootFinding::CutTail { size: *size, found: length, name };
            }
            let before = sizes.iter().rfind(|earlier| *earlier < size);
            RootFinding::CommitAmong { first: before.copied().unwrap_or(0), last: size - 1, name }
        });
        prop_assert_eq!(roots.finish(), expected);
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
