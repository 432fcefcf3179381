//! The laws of the file system, for any calls: what is read is what was written; and after a power loss what was synced is there, and
//! every sector and every directory is as it was at one time since it was synced.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use fastrand::Rng;
use proptest::collection::vec;
use proptest::prelude::*;

use super::contents::{Contents, SECTOR};
use super::loss::Loss;
use super::tree::{Access, Inode, ROOT, Refusal, Tree};

const OWNER: Access = Access { user: 0, group: 0, permissions: 0o600 };

#[derive(Debug, Clone)]
enum FileCall {
    Write { offset: usize, length: usize, byte: u8 },
    Resize(usize),
    Sync,
}

fn file_calls() -> impl Strategy<Value = Vec<FileCall>> {
    let write = (0..4_000_usize, 1..2_000_usize, 1..=u8::MAX);
    let call = prop_oneof![
        6 => write.prop_map(|(offset, length, byte)| FileCall::Write { offset, length, byte }),
        1 => (0..4_000_usize).prop_map(FileCall::Resize),
        1 => Just(FileCall::Sync),
    ];
    vec(call, 0..20)
}

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![Just(Loss::All), Just(Loss::Latest), Just(Loss::Any)]
}

/// Makes the calls on a file, and on a plain vector. Returns what the vector was at the last sync and after each later call.
fn called(contents: &mut Contents, calls: &[FileCall]) -> Vec<Vec<u8>> {
    let mut versions = vec![Vec::new()];
    for call in calls {
        let mut bytes = versions.last().cloned().unwrap_or_default();
        match call {
            FileCall::Write { offset, length, byte } => {
                contents.write(*offset, &vec![*byte; *length]);
                bytes.resize(bytes.len().max(offset + length), 0);
                bytes[*offset..offset + length].fill(*byte);
                versions.push(bytes);
            }
            FileCall::Resize(length) => {
                contents.resize(*length);
                bytes.resize(*length, 0);
                versions.push(bytes);
            }
            FileCall::Sync => {
                contents.sync();
                versions = vec![bytes];
            }
        }
    }
    versions
}

/// The bytes of a sector, with zeros after the end of the file.
fn sector(bytes: &[u8], number: usize) -> Vec<u8> {
    let mut found: Vec<u8> = bytes.iter().skip(number * SECTOR).take(SECTOR).copied().collect();
    found.resize(SECTOR, 0);
    found
}

proptest! {
    #[test]
    fn a_file_has_what_was_written(calls in file_calls(), offset in 0..5_000_usize, size in 0..5_000_usize) {
        let mut contents = Contents::default();
        let versions = called(&mut contents, &calls);
        let expected: Vec<u8> = versions[versions.len() - 1].iter().skip(offset).take(size).copied().collect();
        prop_assert_eq!(contents.length(), versions[versions.len() - 1].len());
        prop_assert!(contents.read(offset, size) == expected);
    }

    #[test]
    fn after_a_power_loss_each_sector_is_as_it_was_at_one_time_since_the_last_sync(
        calls in file_calls(), loss in losses(), seed: u64
    ) {
        let mut contents = Contents::default();
        let versions = called(&mut contents, &calls);
        let lost = contents.lose_power(loss, &mut Rng::with_seed(seed));
        let bytes = contents.read(0, usize::MAX);
        prop_assert_eq!(bytes.len(), contents.length());
        let (synced, latest) = (&versions[0], &versions[versions.len() - 1]);
        if loss == Loss::All || versions.len() == 1 {
            prop_assert!(bytes == *synced);
        }
        prop_assert!(lost > 0 || bytes == *latest, "{} sectors are counted as lost", lost);
        for number in 0..bytes.len().div_ceil(SECTOR) {
            // After the end of this file it has no bytes.
            let cut = |version: &[u8]| sector(&version[..version.len().min(bytes.len())], number);
            let found = sector(&bytes, number);
            prop_assert!(versions.iter().any(|version| cut(version) == found), "sector {}", number);
        }
    }
}

#[derive(Debug, Clone)]
enum TreeCall {
    Create { parent: usize, name: usize },
    Write { parent: usize, name: usize },
    Rename { from: (usize, usize), to: (usize, usize) },
    Remove { parent: usize, name: usize },
    SyncFile { parent: usize, name: usize },
    SyncDirectory(usize),
}

const DIRECTORIES: usize = 3;

fn tree_calls() -> impl Strategy<Value = Vec<TreeCall>> {
    let place = || (0..DIRECTORIES, 0..4_usize);
    let call = prop_oneof![
        4 => place().prop_map(|(parent, name)| TreeCall::Create { parent, name }),
        2 => place().prop_map(|(parent, name)| TreeCall::Write { parent, name }),
        3 => (place(), place()).prop_map(|(from, to)| TreeCall::Rename { from, to }),
        2 => place().prop_map(|(parent, name)| TreeCall::Remove { parent, name }),
        1 => place().prop_map(|(parent, name)| TreeCall::SyncFile { parent, name }),
        1 => (0..DIRECTORIES).prop_map(TreeCall::SyncDirectory),
    ];
    vec(call, 0..40)
}

fn name(number: usize) -> OsString {
    format!("n{number}").into()
}

/// The names and inodes of a directory.
fn entries(tree: &Tree, directory: Inode) -> BTreeMap<OsString, Inode> {
    let listed = tree.list(directory).unwrap();
    listed.into_iter().map(|(name, found)| (name, found.inode)).collect()
}

/// The file system with some directories, which are durable.
fn prepared() -> (Tree, Vec<Inode>) {
    let mut tree = Tree::new(0, 0);
    let directories = (0..DIRECTORIES)
        .map(|number| {
            tree.create_directory(ROOT, &OsString::from(format!("d{number}")), OWNER).unwrap().inode
        })
        .collect();
    tree.sync(ROOT).unwrap();
    (tree, directories)
}

fn perform(tree: &mut Tree, directories: &[Inode], call: &TreeCall) -> Result<(), Refusal> {
    let inode = |tree: &Tree, parent: usize, number: usize| {
        tree.look_up(directories[parent], &name(number)).map(|found| found.inode)
    };
    match call {
        TreeCall::Create { parent, name: number } => {
            tree.create_file(directories[*parent], &name(*number), OWNER).map(|_| ())
        }
        TreeCall::Write { parent, name: number } => {
            let file = inode(tree, *parent, *number)?;
            tree.write(file, 0, b"written")
        }
        TreeCall::Rename { from, to } => {
            let (old, new) = (name(from.1), name(to.1));
            tree.rename((directories[from.0], &old), (directories[to.0], &new), true)
        }
        TreeCall::Remove { parent, name: number } => tree.remove_file(directories[*parent], &name(*number)),
        TreeCall::SyncFile { parent, name: number } => {
            let file = inode(tree, *parent, *number)?;
            tree.sync(file)
        }
        TreeCall::SyncDirectory(directory) => tree.sync(directories[*directory]),
    }
}

proptest! {
    #[test]
    fn after_a_power_loss_each_directory_is_as_it_was_at_one_time_since_the_last_sync(
        calls in tree_calls(), loss in losses(), seed: u64
    ) {
        let (mut tree, directories) = prepared();
        let mut versions = vec![vec![BTreeMap::new()]; DIRECTORIES];
        for call in &calls {
            // A refused call changes nothing.
            let _ = perform(&mut tree, &directories, call);
            for (directory, versions) in versions.iter_mut().enumerate() {
                versions.push(entries(&tree, directories[directory]));
            }
            if let TreeCall::SyncDirectory(directory) = call {
                let latest = versions[*directory].len() - 1;
                versions[*directory].drain(..latest);
            }
        }
        tree.lose_power(loss, &mut Rng::with_seed(seed));
        let mut seen = Vec::new();
        for (versions, directory) in versions.iter().zip(&directories) {
            let found = entries(&tree, *directory);
            prop_assert!(versions.contains(&found), "{:?} is none of {:?}", found, versions);
            // A file that was moved between directories is in one of them.
            seen.extend(found.into_values());
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), all, "a file has two names");
    }

    #[test]
    fn a_synced_file_in_synced_directories_survives_every_loss(loss in losses(), seed: u64, later in 0..3_usize) {
        let (mut tree, directories) = prepared();
        let (first, second) = (directories[0], directories[1]);
        let file = tree.create_file(first, &name(0), OWNER).unwrap().inode;
        tree.write(file, 0, b"kept").unwrap();
        tree.sync(file).unwrap();
        tree.rename((first, &name(0)), (second, &name(1)), false).unwrap();
        tree.sync(second).unwrap();
        for number in 2..2 + later {
            tree.create_file(second, &name(number), OWNER).unwrap();
        }
        tree.lose_power(loss, &mut Rng::with_seed(seed));
        prop_assert_eq!(tree.look_up(first, &name(0)), Err(Refusal::NotFound), "the renaming is durable in both");
        prop_assert_eq!(tree.look_up(second, &name(1)).unwrap().inode, file);
        prop_assert_eq!(tree.read(file, 0, 100).unwrap(), b"kept");
    }
}

#[test]
fn a_synced_file_is_lost_with_a_directory_whose_name_was_not_synced() {
    let mut tree = Tree::new(0, 0);
    let directory = tree.create_directory(ROOT, OsStr::new("data"), OWNER).unwrap().inode;
    let file = tree.create_file(directory, OsStr::new("log.db"), OWNER).unwrap().inode;
    tree.write(file, 0, b"lost").unwrap();
    tree.sync(file).unwrap();
    tree.sync(directory).unwrap();
    let lost = tree.lose_power(Loss::All, &mut Rng::with_seed(1));
    assert_eq!((tree.list(ROOT).unwrap(), lost.entries), (vec![], 1));
    assert_eq!(tree.read(file, 0, 1), Err(Refusal::NotFound));
}

#[test]
fn a_renamed_file_that_was_not_synced_is_empty_after_a_loss() {
    let (mut tree, directories) = prepared();
    let file = tree.create_file(directories[0], OsStr::new("a.partial"), OWNER).unwrap().inode;
    tree.write(file, 0, b"not synced").unwrap();
    tree.rename((directories[0], OsStr::new("a.partial")), (directories[0], OsStr::new("a")), true).unwrap();
    tree.sync(directories[0]).unwrap();
    tree.lose_power(Loss::All, &mut Rng::with_seed(1));
    assert_eq!(tree.look_up(directories[0], OsStr::new("a")).unwrap().length, 0);
}

#[test]
fn nothing_changes_after_the_power_is_off() {
    let (mut tree, directories) = prepared();
    let file = tree.create_file(directories[0], OsStr::new("a"), OWNER).unwrap().inode;
    tree.sync(directories[0]).unwrap();
    tree.power_off_after(2);
    tree.write(file, 0, b"one").unwrap();
    assert_eq!(tree.sync(file), Err(Refusal::Off), "the second call is the last one, and fails");
    assert!(tree.is_off());
    assert_eq!(tree.list(directories[0]), Err(Refusal::Off));
    tree.lose_power(Loss::All, &mut Rng::with_seed(1));
    assert_eq!(tree.look_up(directories[0], OsStr::new("a")).unwrap().length, 0);
}
