//! The folder with all files of a cloud.

use std::io;
use std::path::{Path, PathBuf};

/// The folder with all files of a cloud.
pub(super) enum Folder {
    /// A folder that is removed when the cloud is dropped.
    Temporary(tempfile::TempDir),
    /// A folder that is kept.
    Persistent(PathBuf),
}

impl Folder {
    /// Creates the folder `path`, or a temporary folder.
    pub(super) fn create(path: Option<&Path>) -> io::Result<Self> {
        match path {
            Some(path) => {
                std::fs::create_dir_all(path)?;
                Ok(Self::Persistent(path.to_owned()))
            }
            None => Ok(Self::Temporary(tempfile::Builder::new().prefix("streamio-emulator-").tempdir()?)),
        }
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Persistent(folder) => folder,
        }
    }
}
