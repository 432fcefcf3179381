//! Finds what the operating system does not permit in a data directory. SQLite and the object store report only that a file cannot
//! be opened.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use crate::exit::Failure;

/// The directory's own files, and the object store's database. Below that are the tenants' files, which may be many.
const CHECKED_LEVELS: u32 = 2;

/// A file or directory that this process may not use.
#[derive(Debug, PartialEq, Eq)]
struct Denied {
    path: PathBuf,
    /// What is not permitted, such as "written to".
    action: &'static str,
    /// The id of the user that owns it; `None` if that may not be read either.
    owner: Option<u32>,
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = rustix::process::geteuid().as_raw();
        write!(formatter, "permission denied: {} may not be {}", self.path.display(), self.action)?;
        match self.owner {
            Some(owner) if owner != own => {
                write!(formatter, " by user {own}; it belongs to user {owner}")
            }
            _ => write!(formatter, " by user {own}"),
        }
    }
}

/// Returns the failure for a data directory whose files this process may not use; `None` if it may use all of them.
pub(crate) fn data_directory_failure(path: &Path) -> Option<Failure> {
    let denied = first_denied(path)?;
    Some(Failure::permission(
        denied.to_string(),
        "run the command as the user that owns the data directory, give your user access to it, or choose another directory with --data",
    ))
}

/// The first entry of the data directory that may not be used, or its parent if it cannot be created there.
fn first_denied(directory: &Path) -> Option<Denied> {
    let directory = std::path::absolute(directory).ok()?;
    match fs::symlink_metadata(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = directory.ancestors().skip(1).find(|ancestor| ancestor.exists())?;
            return check(parent, Access::WRITE_OK | Access::EXEC_OK, "written to");
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let denied = directory
                .ancestors()
                .skip(1)
                .find_map(|ancestor| check(ancestor, Access::EXEC_OK, "entered"));
            return denied.or(Some(Denied { path: directory, action: "read", owner: None }));
        }
        _ => {}
    }
    first_denied_in(&directory, CHECKED_LEVELS)
}

/// Checks `path`, and its entries down to `levels` levels.
fn first_denied_in(path: &Path, levels: u32) -> Option<Denied> {
    let is_directory = path.is_dir();
    let needed = Access::READ_OK | Access::WRITE_OK;
    let needed = if is_directory { needed | Access::EXEC_OK } else { needed };
    check(path, needed, "read and written to").or_else(|| {
        let entries = is_directory.then(|| fs::read_dir(path)).filter(|_| levels > 0)?.ok()?;
        entries.flatten().find_map(|entry| first_denied_in(&entry.path(), levels - 1))
    })
}

fn check(path: &Path, access: Access, action: &'static str) -> Option<Denied> {
    match accessat(CWD, path, access, AtFlags::EACCESS) {
        Err(Errno::ACCESS | Errno::PERM) => {
            let owner = fs::metadata(path).ok().map(|metadata| metadata.uid());
            Some(Denied { path: path.to_owned(), action, owner })
        }
        _ => None,
    }
}
