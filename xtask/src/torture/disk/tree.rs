//! The file system in memory: its directories and files, as they are and as they would be after a power loss.
//!
//! A file's bytes are durable when the file was synced. An entry of a directory (a creation, a renaming, a removal) is durable when
//! that directory was synced: syncing the file is not enough, as POSIX has it. Of the entries that were not synced, a power loss takes
//! the latest of each directory; a renaming between directories is kept or lost in both. Owners and permissions are always durable.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use fastrand::Rng;

use super::contents::Contents;
use super::loss::{Loss, Lost};

/// The number of a file or directory.
pub(super) type Inode = u64;

/// The number of the root directory.
pub(super) const ROOT: Inode = 1;

/// Why an operation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFound,
    Exists,
    NotEmpty,
    NotADirectory,
    IsADirectory,
    /// The power is off.
    Off,
}

type Entries = BTreeMap<OsString, Inode>;

enum Body {
    File(Contents),
    Directory { durable: Entries, current: Entries },
}

struct Node {
    access: Access,
    body: Body,
}

/// Who may use a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) permissions: u16,
}

/// What is known about a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) inode: Inode,
    pub(super) is_directory: bool,
    /// In bytes.
    pub(super) length: u64,
    pub(super) access: Access,
}

/// A change of one or two directories that was not synced: the new inodes of names, or `None` where a name was removed.
struct EntryChange(Vec<(Inode, OsString, Option<Inode>)>);

/// The file system.
pub(in crate::torture) struct Tree {
    nodes: HashMap<Inode, Node>,
    next: Inode,
    unsynced: Vec<EntryChange>,
    /// The changes and syncs that are still carried out; then the power is off.
    remaining: Option<u64>,
}

impl Tree {
    /// An empty file system of the user and the group with these numbers.
    pub(in crate::torture) fn new(user: u32, group: u32) -> Self {
        let root = Node { access: Access { user, group, permissions: 0o755 }, body: directory() };
        Self { nodes: HashMap::from([(ROOT, root)]), next: ROOT + 1, unsynced: Vec::new(), remaining: None }
    }

    /// Switches the power off after this number of changes and syncs: every operation is then refused.
    pub(in crate::torture) fn power_off_after(&mut self, changes: u64) {
        self.remaining = Some(changes);
    }

    /// Switches the power on. Nothing is lost.
    pub(in crate::torture) fn switch_on(&mut self) {
        self.remaining = None;
    }

    /// Whether the power is off.
    pub(in crate::torture) fn is_off(&self) -> bool {
        self.remaining == Some(0)
    }

    /// Takes of the changes that were not synced what a power loss takes, and switches the power on.
    pub(in crate::torture) fn lose_power(&mut self, loss: Loss, rng: &mut Rng) -> Lost {
        let mut taken = self.lose_entries(loss, rng);
        self.remove_unreachable();
        // In a fixed order, because each file takes numbers from the generator.
        let inodes: BTreeSet<Inode> = self.nodes.keys().copied().collect();
        for inode in inodes {
            match self.nodes.get_mut(&inode).map(|node| &mut node.body) {
                Some(Body::File(contents)) => {
                    let sectors = contents.lose_power(loss, rng);
                    taken += Lost { sectors, files: u64::from(sectors > 0), ..Lost::default() };
                }
                Some(Body::Directory { durable, current }) => current.clone_from(durable),
                None => {}
            }
        }
        self.remaining = None;
        taken
    }

    pub(super) fn attributes(&self, inode: Inode) -> Result<Attributes, Refusal> {
        self.check_power()?;
        let node = self.nodes.get(&inode).ok_or(Refusal::NotFound)?;
        let (is_directory, length) = match &node.body {
            Body::File(contents) => (false, contents.length() as u64),
            Body::Directory { .. } => (true, 0),
        };
        Ok(Attributes { inode, is_directory, length, access: node.access })
    }

    pub(super) fn look_up(&self, parent: Inode, name: &OsStr) -> Result<Attributes, Refusal> {
        let inode = *self.entries(parent)?.get(name).ok_or(Refusal::NotFound)?;
        self.attributes(inode)
    }

    /// The names in a directory with their inodes, in order.
    pub(super) fn list(&self, inode: Inode) -> Result<Vec<(OsString, Attributes)>, Refusal> {
        let entries = self.entries(inode)?.iter();
        entries.map(|(name, inode)| Ok((name.clone(), self.attributes(*inode)?))).collect()
    }

    pub(super) fn create_file(
        &mut self,
        parent: Inode,
        name: &OsStr,
        access: Access,
    ) -> Result<Attributes, Refusal> {
        self.create(parent, name, Node { access, body: Body::File(Contents::default()) })
    }

    pub(super) fn create_directory(
        &mut self,
        parent: Inode,
        name: &OsStr,
        access: Access,
    ) -> Result<Attributes, Refusal> {
        self.create(parent, name, Node { access, body: directory() })
    }

    pub(super) fn remove_file(&mut self, parent: Inode, name: &OsStr) -> Result<(), Refusal> {
        if self.look_up(parent, name)?.is_directory {
            return Err(Refusal::IsADirectory);
        }
        self.change(vec![(parent, name.to_owned(), None)])
    }

    pub(super) fn remove_directory(&mut self, parent: Inode, name: &OsStr) -> Result<(), Refusal> {
        let found = self.look_up(parent, name)?;
        if !self.entries(found.inode)?.is_empty() {
            return Err(Refusal::NotEmpty);
        }
        self.change(vec![(parent, name.to_owned(), None)])
    }

    /// Renames a file or directory. With `replace`, an existing file or empty directory of the new name is replaced.
    pub(super) fn rename(
        &mut self,
        from: (Inode, &OsStr),
        to: (Inode, &OsStr),
        replace: bool,
    ) -> Result<(), Refusal> {
        let moved = self.look_up(from.0, from.1)?;
        match self.look_up(to.0, to.1) {
            Ok(_) if !replace => return Err(Refusal::Exists),
            Ok(existing) if existing.inode == moved.inode => return Ok(()),
            Ok(existing) if existing.is_directory && !moved.is_directory => {
                return Err(Refusal::IsADirectory);
            }
            Ok(existing) if !existing.is_directory && moved.is_directory => {
                return Err(Refusal::NotADirectory);
            }
            Ok(existing) if existing.is_directory && !self.entries(existing.inode)?.is_empty() => {
                return Err(Refusal::NotEmpty);
            }
            Ok(_) | Err(Refusal::NotFound) => {}
            Err(refusal) => return Err(refusal),
        }
        self.entries(to.0)?;
        self.change(vec![(from.0, from.1.to_owned(), None), (to.0, to.1.to_owned(), Some(moved.inode))])
    }

    pub(super) fn read(&self, inode: Inode, offset: usize, size: usize) -> Result<Vec<u8>, Refusal> {
        self.check_power()?;
        match self.nodes.get(&inode).map(|node| &node.body) {
            Some(Body::File(contents)) => Ok(contents.read(offset, size)),
            Some(Body::Directory { .. }) => Err(Refusal::IsADirectory),
            None => Err(Refusal::NotFound),
        }
    }

    pub(super) fn write(&mut self, inode: Inode, offset: usize, bytes: &[u8]) -> Result<(), Refusal> {
        self.file(inode)?.write(offset, bytes);
        Ok(())
    }

    pub(super) fn resize(&mut self, inode: Inode, length: usize) -> Result<(), Refusal> {
        self.file(inode)?.resize(length);
        Ok(())
    }

    pub(super) fn set_access(&mut self, inode: Inode, access: Access) -> Result<(), Refusal> {
        self.check_power()?;
        self.nodes.get_mut(&inode).ok_or(Refusal::NotFound)?.access = access;
        Ok(())
    }

    /// Makes the bytes of a file, or the entries of a directory, durable.
    pub(super) fn sync(&mut self, inode: Inode) -> Result<(), Refusal> {
        self.use_power()?;
        match self.nodes.get_mut(&inode).map(|node| &mut node.body) {
            Some(Body::File(contents)) => contents.sync(),
            Some(Body::Directory { .. }) => self.sync_directory(inode),
            None => return Err(Refusal::NotFound),
        }
        Ok(())
    }

    fn check_power(&self) -> Result<(), Refusal> {
        if self.is_off() { Err(Refusal::Off) } else { Ok(()) }
    }

    /// Counts a change or a sync.
    fn use_power(&mut self) -> Result<(), Refusal> {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(1);
        }
        self.check_power()
    }

    fn entries(&self, inode: Inode) -> Result<&Entries, Refusal> {
        self.check_power()?;
        match self.nodes.get(&inode).map(|node| &node.body) {
            Some(Body::Directory { current, .. }) => Ok(current),
            Some(Body::File(_)) => Err(Refusal::NotADirectory),
            None => Err(Refusal::NotFound),
        }
    }

    /// The contents of a file that is to be changed.
    fn file(&mut self, inode: Inode) -> Result<&mut Contents, Refusal> {
        self.use_power()?;
        match self.nodes.get_mut(&inode).map(|node| &mut node.body) {
            Some(Body::File(contents)) => Ok(contents),
            Some(Body::Directory { .. }) => Err(Refusal::IsADirectory),
            None => Err(Refusal::NotFound),
        }
    }

    fn create(&mut self, parent: Inode, name: &OsStr, node: Node) -> Result<Attributes, Refusal> {
        match self.look_up(parent, name) {
            Ok(_) => return Err(Refusal::Exists),
            Err(Refusal::NotFound) => {}
            Err(refusal) => return Err(refusal),
        }
        let inode = self.next;
        self.change(vec![(parent, name.to_owned(), Some(inode))])?;
        self.next += 1;
        self.nodes.insert(inode, node);
        self.attributes(inode)
    }

    /// Changes entries, not durably yet.
    fn change(&mut self, entries: Vec<(Inode, OsString, Option<Inode>)>) -> Result<(), Refusal> {
        self.use_power()?;
        for (parent, name, inode) in &entries {
            if let Some(Body::Directory { current, .. }) =
                self.nodes.get_mut(parent).map(|node| &mut node.body)
            {
                set(current, name, *inode);
            }
        }
        self.unsynced.push(EntryChange(entries));
        Ok(())
    }

    /// Makes the changes of a directory durable, and those of other directories that must come before them: a renaming is durable in
    /// both directories at once.
    fn sync_directory(&mut self, inode: Inode) {
        let mut directories = HashSet::from([inode]);
        let mut synced = vec![false; self.unsynced.len()];
        for (index, change) in self.unsynced.iter().enumerate().rev() {
            if change.0.iter().any(|(parent, ..)| directories.contains(parent)) {
                directories.extend(change.0.iter().map(|(parent, ..)| *parent));
                synced[index] = true;
            }
        }
        let mut synced = synced.into_iter();
        let changes = std::mem::take(&mut self.unsynced);
        let (durable, unsynced) = changes.into_iter().partition(|_| synced.next().unwrap_or_default());
        self.unsynced = unsynced;
        self.make_durable(durable);
    }

    fn make_durable(&mut self, changes: Vec<EntryChange>) {
        for (parent, name, inode) in changes.into_iter().flat_map(|change| change.0) {
            if let Some(Body::Directory { durable, .. }) =
                self.nodes.get_mut(&parent).map(|node| &mut node.body)
            {
                set(durable, &name, inode);
            }
        }
    }

    /// Drops the latest changes of each directory: after the first lost change of a directory all later ones of it are lost.
    fn lose_entries(&mut self, loss: Loss, rng: &mut Rng) -> Lost {
        let changes = std::mem::take(&mut self.unsynced);
        let all = changes.len();
        // Mostly a few: with an even chance for each, nearly all directories would lose nearly everything.
        let chance = if loss == Loss::All { 1.0 } else { *rng.choice(&[0.02, 0.1, 0.5]).unwrap_or(&0.1) };
        let (mut cut, mut kept) = (HashSet::new(), Vec::new());
        for change in changes {
            let is_lost = change.0.iter().any(|(parent, ..)| cut.contains(parent)) || rng.f64() < chance;
            if is_lost {
                cut.extend(change.0.iter().map(|(parent, ..)| *parent));
            } else {
                kept.push(change);
            }
        }
        let entries = (all - kept.len()) as u64;
        self.make_durable(kept);
        Lost { entries, ..Lost::default() }
    }

    /// Removes the files and directories that no durable entry leads to.
    fn remove_unreachable(&mut self) {
        let (mut reached, mut next) = (HashSet::new(), vec![ROOT]);
        while let Some(inode) = next.pop() {
            if let (true, Some(Body::Directory { durable, .. })) =
                (reached.insert(inode), self.nodes.get(&inode).map(|node| &node.body))
            {
                next.extend(durable.values());
            }
        }
        self.nodes.retain(|inode, _| reached.contains(inode));
    }
}

fn directory() -> Body {
    Body::Directory { durable: Entries::new(), current: Entries::new() }
}

fn set(entries: &mut Entries, name: &OsStr, inode: Option<Inode>) {
    match inode {
        Some(inode) => entries.insert(name.to_owned(), inode),
        None => entries.remove(name),
    };
}
