//! The directory with all state of one platform.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use crate::lock_file::LockFile;

/// The file that a running platform has locked.
const LOCK: &str = "platform.lock";
/// The file that a replay has locked.
const REPLAY_LOCK: &str = "replay.lock";
/// The file in which a replay rebuilds a view.
const REPLAYED_VIEWS: &str = "views.replay.db";
/// The file of generated secrets.
pub(crate) const SECRETS: &str = "secrets.json";

/// A platform's data directory. Only its owner can read it.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
}

/// Locks the directory for one running platform. The operating system releases the lock when the process ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: LockFile,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// The action, such as "read".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A platform is running on it.
    #[error("a platform is already running on {0}; stop it or choose another directory with --data")]
    InUse(PathBuf),
    /// A file in it is not valid JSON.
    #[error("{path} is damaged; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
}

impl DataDir {
    /// Opens the directory at `path`, creating it if needed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataDirError> {
        let path = std::path::absolute(path.as_ref()).map_err(|source| DataDirError::Io {
            action: "find",
            path: path.as_ref().to_owned(),
            source,
        })?;
        create_durably(&path, sync_if_possible).map_err(|source| DataDirError::Io {
            action: "create the directory",
            path: path.clone(),
            source,
        })?;
        let directory = Self { path };
        directory.restrict()?;
        Ok(directory)
    }

    /// Takes the permissions of group and others from the directory and from what the platform has put there, which an earlier release or
    /// an operator may have created with them. A directory in which no platform has run yet is left as it is.
    fn restrict(&self) -> Result<(), DataDirError> {
        let database = |name: &str| ["", "-wal", "-shm"].map(|suffix| format!("{name}{suffix}"));
        let names = database("log.db").into_iter().chain(database("views.db"));
        let names = names
            .chain([LOCK, REPLAY_LOCK, REPLAYED_VIEWS, SECRETS, "s3", "audit", "scratch"].map(str::to_owned));
        let present: Vec<PathBuf> =
            names.map(|name| self.path.join(name)).filter(|path| path.exists()).collect();
        let own = (!present.is_empty()).then(|| self.path.clone());
        for path in own.into_iter().chain(present) {
            let io = |source| DataDirError::Io {
                action: "restrict the permissions of",
                path: path.clone(),
                source,
            };
            let mode = fs::metadata(&path).map_err(io)?.permissions().mode();
            if mode & 0o077 != 0 {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o700)).map_err(io)?;
                tracing::warn!(path = %path.display(), "other users could access it; only its owner can now");
            }
        }
        Ok(())
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database of the event log.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.db")
    }

    /// The database of views and cursors. It can be deleted while no platform runs; it is then rebuilt from the log.
    pub fn views(&self) -> PathBuf {
        self.path.join("views.db")
    }

    /// The database in which a replay rebuilds a view.
    pub(crate) fn replayed_views(&self) -> PathBuf {
        self.path.join(REPLAYED_VIEWS)
    }

    /// The file that a replay locks.
    pub(crate) fn replay_lock(&self) -> PathBuf {
        self.path.join(REPLAY_LOCK)
    }

    /// The directory of the object store.
    pub fn objects(&self) -> PathBuf {
        self.path.join("s3")
    }

    /// The directory of the transparency logs: tiles and checkpoints.
    pub fn audit(&self) -> PathBuf {
        self.path.join("audit")
    }

    /// The directory for temporary files of workers.
    pub fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }

    /// Locks the directory for a running platform.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] if it is locked.
    pub fn lock(&self) -> Result<DataDirLock, DataDirError> {
        let path = self.path.join(LOCK);
        match LockFile::try_lock(&path) {
            Ok(Some(file)) => Ok(DataDirLock { _file: file }),
            Ok(None) => Err(DataDirError::InUse(self.path.clone())),
            Err(source) => Err(DataDirError::Io { action: "open", path, source }),
        }
    }

    /// Reads JSON from the file `name`; `None` if there is no such file.
    pub(crate) fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, DataDirError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| DataDirError::Damaged { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::Io { action: "read", path, source }),
        }
    }

    /// Writes JSON to the file `name`, readable by its owner only. Atomic: after a crash the file has the old or the
    /// new content.
    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), DataDirError> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!("{name}.new"));
        let write = || {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
            file.write_all(&serde_json::to_vec_pretty(value).map_err(std::io::Error::other)?)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| DataDirError::Io { action: "write", path: path.clone(), source })
    }
}

/// Creates a directory and its missing parents, accessible by their owner only. Calls `sync` for each directory in which a name may be
/// new: a power failure takes a name whose directory was not synced, with everything below it, however often that was synced.
pub(crate) fn create_durably(path: &Path, sync: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let missing = path.ancestors().take_while(|directory| !directory.exists()).count();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // Also if it exists: a process that was killed may have created it and not synced its name.
    path.ancestors().skip(1).take(missing.max(1)).try_for_each(sync)
}

/// Syncs the names in a directory. One that this user may not read was created by another one before; read-only and some foreign file
/// systems cannot sync a directory, and have no new names or no way to keep them.
pub(crate) fn sync_if_possible(directory: &Path) -> io::Result<()> {
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        Err(error) if cannot_be_synced(error.kind()) => Ok(()),
        result => result,
    }
}

fn cannot_be_synced(error: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error, PermissionDenied | InvalidInput | Unsupported | ReadOnlyFilesystem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_directory_and_of_each_new_parent_is_synced() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("srv/streamio/data");
        let mut synced = Vec::new();
        let mut create = |path: &Path| {
            create_durably(path, |directory| {
                assert!(path.is_dir(), "before the directory exists");
                synced.push(directory.to_owned());
                Ok(())
            })
            .unwrap();
            std::mem::take(&mut synced)
        };
        let parents =
            [scratch.path().join("srv/streamio"), scratch.path().join("srv"), scratch.path().to_owned()];
        assert_eq!(create(&path), parents);
        assert_eq!(create(&path), parents[..1], "a run that was killed may not have synced it");
    }

    /// Of the error numbers, because root is refused nothing.
    #[test]
    fn only_a_directory_that_cannot_be_synced_stays_without() {
        use rustix::io::Errno;
        let refuses = |errno: Errno| !cannot_be_synced(io::Error::from(errno).kind());
        assert!(
            [Errno::ACCESS, Errno::INVAL, Errno::OPNOTSUPP, Errno::ROFS]
                .into_iter()
                .all(|errno| !refuses(errno))
        );
        assert!([Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::NOENT].into_iter().all(refuses));
    }

    #[test]
    fn only_one_platform_can_lock_the_directory() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = DataDir::open(scratch.path().join("data")).unwrap();
        let lock = directory.lock().unwrap();
        assert!(matches!(directory.lock(), Err(DataDirError::InUse(_))));
        drop(lock);
        directory.lock().unwrap();
    }

    #[test]
    fn files_are_readable_by_their_owner_only() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = DataDir::open(scratch.path().join("data")).unwrap();
        directory.write_json("secret.json", &["x"]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory.path().join("secret.json")), 0o600);
        assert_eq!(mode(directory.path()), 0o700);
        assert_eq!(directory.read_json::<Vec<String>>("secret.json").unwrap().unwrap(), ["x"]);
        assert!(directory.read_json::<Vec<String>>("other.json").unwrap().is_none());
    }

    #[test]
    fn a_directory_that_others_can_read_is_restricted_to_its_owner() {
        let scratch = tempfile::tempdir().unwrap();
        let (path, file) = (scratch.path().join("data"), scratch.path().join("data/log.db"));
        fs::create_dir(&path).unwrap();
        fs::write(&file, "").unwrap();
        for (path, mode) in [(&path, 0o755), (&file, 0o644)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        DataDir::open(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
    }

    #[test]
    fn the_error_for_a_damaged_file_names_it() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = DataDir::open(scratch.path()).unwrap();
        fs::write(scratch.path().join("secrets.json"), "{").unwrap();
        let error = directory.read_json::<Vec<String>>("secrets.json").unwrap_err();
        assert!(error.to_string().contains("secrets.json is damaged"), "{error}");
    }
}
