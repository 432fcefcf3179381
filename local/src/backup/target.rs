//! The directory that is made: first under a temporary name, which it loses when it is complete.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::error::{BackupError, io};

/// What the temporary name has after the directory's own.
const SUFFIX: &str = ".partial";

/// A directory that is being made. It is removed when this is dropped, unless it was finished.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    partial: PathBuf,
    is_finished: bool,
}

impl Target {
    /// Begins to make the directory at `path`, readable by its owner only.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`], [`BackupError::MountPoint`], [`BackupError::Leftover`], [`BackupError::Io`] if it cannot be created,
    /// for example because its parent does not exist. Nothing is changed then.
    pub(super) fn begin(path: &Path) -> Result<Self, BackupError> {
        let path = std::path::absolute(path).map_err(io("find", path))?;
        // Without a slash at the end, which would make the temporary name one inside of it.
        let path: PathBuf = path.components().collect();
        match fs::read_dir(&path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(BackupError::NotEmpty(path));
                }
                let device =
                    |path: &Path| fs::metadata(path).map(|found| found.dev()).map_err(io("read", path));
                let parent = path.parent().ok_or_else(|| BackupError::MountPoint(path.clone()))?;
                if device(&path)? != device(parent)? {
                    return Err(BackupError::MountPoint(path));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io("use the directory", &path)(error)),
        }
        let mut partial = path.clone().into_os_string();
        partial.push(SUFFIX);
        let partial = PathBuf::from(partial);
        match DirBuilder::new().mode(0o700).create(&partial) {
            Ok(()) => Ok(Self { path, partial, is_finished: false }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(BackupError::Leftover(partial)),
            Err(error) => Err(io("create the directory", &partial)(error)),
        }
    }

    /// The directory under its temporary name.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the directory its name, durably. Its files must be synced.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`] if something was put there meanwhile, [`BackupError::Io`].
    pub(super) fn finish(mut self) -> Result<PathBuf, BackupError> {
        sync_directories(&self.partial)?;
        fs::rename(&self.partial, &self.path).map_err(|error| match error.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => {
                BackupError::NotEmpty(self.path.clone())
            }
            _ => io("create the directory", &self.path)(error),
        })?;
        self.is_finished = true;
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        sync(parent)?;
        Ok(self.path.clone())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = fs::remove_dir_all(&self.partial)
        {
            tracing::warn!(path = %self.partial.display(), %error, "an incomplete directory could not be removed");
        }
    }
}

/// Syncs a file, or the entries of a directory.
pub(super) fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io("sync", path))
}

fn sync_directories(path: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(path).map_err(io("list", path))? {
        let entry = entry.map_err(io("list", path))?;
        if entry.file_type().map_err(io("list", path))?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    sync(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_directory_appears_when_it_is_complete_and_is_removed_when_it_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("new");
        let target = Target::begin(&scratch.path().join("new/")).unwrap();
        let partial = scratch.path().join("new.partial");
        assert_eq!(target.partial(), partial);
        assert!(!path.exists());
        assert!(matches!(Target::begin(&path), Err(BackupError::Leftover(left)) if left == partial));
        drop(target);
        assert!(!partial.exists());

        // An empty directory is replaced.
        fs::create_dir(&path).unwrap();
        let target = Target::begin(&path).unwrap();
        fs::write(target.partial().join("file"), "x").unwrap();
        assert_eq!(target.finish().unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(path.join("file").exists() && !partial.exists());
    }

    #[test]
    fn what_exists_is_never_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("new");
        let target = Target::begin(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), "kept").unwrap();
        assert!(matches!(Target::begin(&path), Err(BackupError::NotEmpty(_))));
        assert!(matches!(target.finish(), Err(BackupError::NotEmpty(_))));
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "kept");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
        assert!(matches!(Target::begin(&path.join("file")), Err(BackupError::Io { .. })));
        assert!(matches!(Target::begin(Path::new("/")), Err(BackupError::NotEmpty(_))));
    }
}
