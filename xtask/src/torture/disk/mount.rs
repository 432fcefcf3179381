//! The file system mounted with FUSE, for any program.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, SessionACL,
    TimeOrNow, WriteFlags,
};

use super::contents::SECTOR;
use super::tree::{Access, Attributes, Refusal, Tree};
use crate::platform::program::wait_for;
use crate::process;

/// How long the kernel may remember entries and attributes. Nothing but the kernel changes them while it is mounted.
const REMEMBERED: Duration = Duration::from_hours(1);

/// The free and the total blocks that are reported: more than the platform's reserve.
const BLOCKS: u64 = 1 << 24;

/// How long processes that were killed may take to close their files.
const TIMEOUT: Duration = Duration::from_secs(30);

/// `RENAME_NOREPLACE` of renameat2(2).
const NO_REPLACE: u32 = 1;

/// A mounted file system. It is unmounted when this is dropped.
pub(in crate::torture) struct Mounted {
    session: BackgroundSession,
    directory: PathBuf,
}

impl Mounted {
    /// Mounts the tree on an existing directory.
    pub(in crate::torture) fn mount(tree: &Arc<Mutex<Tree>>, directory: &Path) -> Result<Self> {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("streamio-torture".to_owned()),
            MountOption::DefaultPermissions,
            MountOption::NoAtime,
        ];
        // FFmpeg runs as another user.
        config.acl = SessionACL::All;
        let served =
            Served { tree: Arc::clone(tree), listings: Mutex::default(), next_listing: AtomicU64::new(1) };
        let session = fuser::spawn_mount(served, directory, &config)
            .with_context(|| format!("cannot mount a file system with FUSE on {}", directory.display()))?;
        Ok(Self { session, directory: directory.to_owned() })
    }

    /// Unmounts it. Waits for processes that are ending and still have files of it open.
    pub(in crate::torture) fn unmount(self) -> Result<()> {
        let mut printed = String::new();
        // The command instead of the session's own method, which cannot be tried again.
        wait_for(TIMEOUT, String::new, || {
            let mut command = Command::new("umount");
            command.arg(&self.directory);
            let output = process::capture(command)?;
            printed = String::from_utf8_lossy(&output.stderr).into_owned();
            Ok(output.status.success().then_some(()))
        })
        .with_context(|| format!("the file system cannot be unmounted: {}", printed.trim()))?;
        self.session.join().context("the file system ended with an error")
    }
}

/// Answers the kernel's requests.
struct Served {
    tree: Arc<Mutex<Tree>>,
    /// The entries of opened directories as they were when they were opened, so that a removal in between skips none.
    listings: Mutex<HashMap<u64, Vec<(OsString, Attributes)>>>,
    next_listing: AtomicU64,
}

impl Served {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listings(&self) -> MutexGuard<'_, HashMap<u64, Vec<(OsString, Attributes)>>> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Refusal> for Errno {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::ENOENT,
            Refusal::Exists => Self::EEXIST,
            Refusal::NotEmpty => Self::ENOTEMPTY,
            Refusal::NotADirectory => Self::ENOTDIR,
            Refusal::IsADirectory => Self::EISDIR,
            Refusal::Off => Self::EIO,
        }
    }
}

fn described(attributes: Attributes) -> FileAttr {
    let Attributes { inode, is_directory, length, access } = attributes;
    FileAttr {
        ino: INodeNo(inode),
        size: length,
        blocks: length.div_ceil(SECTOR as u64),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: kind(is_directory),
        perm: access.permissions,
        nlink: 1,
        uid: access.user,
        gid: access.group,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn kind(is_directory: bool) -> FileType {
    if is_directory { FileType::Directory } else { FileType::RegularFile }
}

/// The permissions in a mode.
fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).unwrap_or_default()
}

/// The access to what a process creates.
fn created_by(request: &Request, mode: u32, umask: u32) -> Access {
    Access { user: request.uid(), group: request.gid(), permissions: permissions(mode & !umask) }
}

fn entry(result: Result<Attributes, Refusal>, reply: ReplyEntry) {
    match result {
        Ok(found) => reply.entry(&REMEMBERED, &described(found), Generation(0)),
        Err(refusal) => reply.error(refusal.into()),
    }
}

fn empty(result: Result<(), Refusal>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(refusal.into()),
    }
}

fn position(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.tree().look_up(parent.0, name);
        entry(found, reply);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.tree().attributes(inode.0) {
            Ok(found) => reply.attr(&REMEMBERED, &described(found)),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut tree = self.tree();
        let changed = tree
            .attributes(inode.0)
            .and_then(|Attributes { access, .. }| {
                let access = Access {
                    user: user.unwrap_or(access.user),
                    group: group.unwrap_or(access.group),
                    permissions: mode.map_or(access.permissions, permissions),
                };
                tree.set_access(inode.0, access)
            })
            .and_then(|()| size.map_or(Ok(()), |size| tree.resize(inode.0, position(size))))
            .and_then(|()| tree.attributes(inode.0));
        match changed {
            Ok(attributes) => reply.attr(&REMEMBERED, &described(attributes)),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let created = self.tree().create_directory(parent.0, name, created_by(request, mode, umask));
        entry(created, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.tree().remove_file(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.tree().remove_directory(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = match flags.bits() {
            0 => true,
            NO_REPLACE => false,
            // An exchange, which nothing here uses.
            _ => return reply.error(Errno::EINVAL),
        };
        empty(self.tree().rename((parent.0, name), (new_parent.0, new_name), replace), reply);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.tree().create_file(parent.0, name, created_by(request, mode, umask)) {
            Ok(created) => reply.created(
                &REMEMBERED,
                &described(created),
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_KEEP_CACHE,
            ),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.tree().read(inode.0, position(offset), size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.tree().write(inode.0, position(offset), data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(self.tree().sync(inode.0), reply);
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(self.tree().sync(inode.0), reply);
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.tree().list(inode.0) {
            Ok(entries) => {
                let handle = self.next_listing.fetch_add(1, Ordering::Relaxed);
                self.listings().insert(handle, entries);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listings = self.listings();
        let entries = listings.get(&handle.0).into_iter().flatten();
        let entries =
            entries.map(|(name, found)| (INodeNo(found.inode), kind(found.is_directory), name.as_os_str()));
        let own = [".", ".."].map(|name| (inode, FileType::Directory, OsStr::new(name)));
        for (next, (inode, kind, name)) in (1..).zip(own.into_iter().chain(entries)).skip(position(offset)) {
            if reply.add(inode, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.listings().remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, 4096, 255, 4096);
    }
}
