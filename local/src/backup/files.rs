//! The files of objects: links to them, or copies.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::error::{BackupError, io as failed};

/// The name of a file: 128 random bits. A name is never used twice.
pub(super) type FileId = [u8; 16];

/// The files of an object store that are taken over from another one.
pub(super) struct Files {
    from: PathBuf,
    to: PathBuf,
    /// Those that `to` has.
    present: HashSet<FileId>,
}

impl Files {
    /// Prepares to take files over from the object store's directory `from` into `to`, which does not exist.
    pub(super) fn new(from: &Path, to: &Path) -> Result<Self, BackupError> {
        let files = Self { from: from.join("blobs"), to: to.join("blobs"), present: HashSet::new() };
        for byte in 0..=u8::MAX {
            let directory = files.to.join(HEXLOWER.encode(&[byte]));
            let created = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
            created.map_err(failed("create the directory", &directory))?;
        }
        Ok(files)
    }

    /// Takes over all files that exist now. Calls `progress` with the number of directories that are done, of 256.
    pub(super) fn take_all(&mut self, mut progress: impl FnMut(u64)) -> Result<(), BackupError> {
        for byte in 0..=u8::MAX {
            for id in ids(&self.from.join(HEXLOWER.encode(&[byte])))? {
                // One that was removed meanwhile is not needed, or it is missed when the index is compared.
                self.take(id)?;
            }
            progress(u64::from(byte) + 1);
        }
        Ok(())
    }

    /// Takes over the files that `needed` names and `to` does not have. Returns those that do not exist.
    pub(super) fn take_missing(
        &mut self,
        needed: &HashMap<FileId, u64>,
    ) -> Result<HashSet<FileId>, BackupError> {
        let mut missing = HashSet::new();
        for id in needed.keys() {
            if !self.present.contains(id) && !self.take(*id)? {
                missing.insert(*id);
            }
        }
        Ok(missing)
    }

    /// Removes the files that `needed` does not name from `to`.
    pub(super) fn remove_others(&mut self, needed: &HashMap<FileId, u64>) -> Result<(), BackupError> {
        let others: Vec<FileId> =
            self.present.iter().filter(|id| !needed.contains_key(*id)).copied().collect();
        for id in others {
            let path = path(&self.to, id);
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            self.present.remove(&id);
        }
        Ok(())
    }

    /// Checks that each file that `needed` names has its length.
    ///
    /// # Errors
    /// [`BackupError::FileMissing`] and [`BackupError::FileLength`] with the path where it was taken from.
    pub(super) fn check(&self, needed: &HashMap<FileId, u64>) -> Result<(), BackupError> {
        for (id, expected) in needed {
            let from = path(&self.from, *id);
            match fs::metadata(path(&self.to, *id)) {
                Ok(found) if found.len() == *expected => {}
                Ok(found) => {
                    return Err(BackupError::FileLength {
                        path: from,
                        found: found.len(),
                        expected: *expected,
                    });
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(BackupError::FileMissing(from));
                }
                Err(error) => return Err(failed("read", &from)(error)),
            }
        }
        Ok(())
    }

    /// Where the file is or was taken from.
    pub(super) fn source(&self, id: FileId) -> PathBuf {
        path(&self.from, id)
    }

    /// Takes over one file. Returns whether it exists.
    fn take(&mut self, id: FileId) -> Result<bool, BackupError> {
        let (from, to) = (path(&self.from, id), path(&self.to, id));
        match link_or_copy(&from, &to) {
            Ok(()) => {
                self.present.insert(id);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("link or copy", &from)(error)),
        }
    }
}

/// Whether the object store's directory has a file of an object.
pub(super) fn has_any(store: &Path) -> Result<bool, BackupError> {
    for byte in 0..=u8::MAX {
        if !ids(&store.join("blobs").join(HEXLOWER.encode(&[byte])))?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Copies a file, which is synced and readable by its owner only.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut file)?;
    file.sync_all()
}

/// Links a file, or copies it where that is not possible: in another file system, in one without links, beyond the number of links that
/// it allows, and where the operating system forbids links to other users' files.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
        Err(_) => return copy(from, to),
    }
    let mode = fs::metadata(to)?.permissions().mode();
    if mode & 0o177 != 0 {
        // Both names: only the owner can enter the directories anyway.
        fs::set_permissions(to, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn path(files: &Path, id: FileId) -> PathBuf {
    files.join(HEXLOWER.encode(&id[..1])).join(HEXLOWER.encode(&id))
}

/// The names of the files in a directory, which may not exist.
fn ids(directory: &Path) -> Result<Vec<FileId>, BackupError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("list", directory))?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<Result<Vec<_>, _>>().map_err(failed("list", directory))?;
    let parse = |name: &std::ffi::OsString| HEXLOWER.decode(name.to_str()?.as_bytes()).ok()?.try_into().ok();
    Ok(names.iter().filter_map(parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    const ID: FileId = [0xab; 16];

    #[test]
    fn files_are_linked_and_readable_by_their_owner_only() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        let source = path(&from.join("blobs"), ID);
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        fs::write(&source, "bytes").unwrap();
        fs::set_permissions(&source, Permissions::from_mode(0o644)).unwrap();
        fs::write(source.with_file_name("not a name"), "").unwrap();
        let mut files = Files::new(&from, &to).unwrap();
        files.take_all(|_| ()).unwrap();
        let linked = fs::metadata(path(&to.join("blobs"), ID)).unwrap();
        assert_eq!(linked.ino(), fs::metadata(&source).unwrap().ino());
        assert_eq!(linked.permissions().mode() & 0o777, 0o600);

        files.check(&HashMap::from([(ID, 5)])).unwrap();
        let wrong = files.check(&HashMap::from([(ID, 6)])).unwrap_err();
        assert!(matches!(&wrong, BackupError::FileLength { path, found: 5, expected: 6 } if *path == source));
        let none = HashMap::new();
        files.remove_others(&none).unwrap();
        let gone = files.check(&HashMap::from([(ID, 5)])).unwrap_err();
        assert!(matches!(gone, BackupError::FileMissing(path) if path == source));
        assert!(source.exists());
    }

    #[test]
    fn a_copy_has_the_bytes_and_replaces_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        fs::write(&from, "bytes").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "bytes");
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(copy(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
