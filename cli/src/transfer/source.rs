//! The file to upload.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::client::error::ClientError;
use crate::exit::{Exit, Failure};

/// The state of the file when the upload began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The canonical path.
    pub(crate) path: PathBuf,
    /// The file name.
    pub(crate) name: String,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Modification time since the Unix epoch; zero if the file system does not provide it.
    pub(crate) modified: Duration,
}

impl Source {
    /// Checks that `path` is a readable file and returns its state.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error: &io::Error| {
            let message = format!("cannot read {}: {error}", path.display());
            match error.kind() {
                io::ErrorKind::NotFound => Failure::new(Exit::NotFound, message, "name an existing file"),
                io::ErrorKind::PermissionDenied => Failure::permission(
                    message,
                    "make the file and its folders readable for your user, or run the command as their owner",
                ),
                _ => Failure::new(Exit::Failed, message, "name a readable file"),
            }
        };
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
        if !metadata.is_file() {
            return Err(Failure::usage(format!("{} is not a file", path.display()), "name one video file"));
        }
        std::fs::File::open(path).map_err(|error| unreadable(&error))?;
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Failure::usage(
                format!("the name of {} is not UTF-8", path.display()),
                "set another name with --name",
            )
        });
        Ok(Self {
            path: path.canonicalize().map_err(|error| unreadable(&error))?,
            name: name?.to_owned(),
            size: metadata.len(),
            modified: modified(&metadata),
        })
    }

    /// The failure for an error of reading the file.
    pub(crate) fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::new(Exit::Failed, format!("cannot read {}: {error}", self.path.display()), "")
    }

    /// Fails if the file has changed since the upload began.
    pub(crate) fn check_unchanged(&self) -> Result<(), ClientError> {
        let now = std::fs::metadata(&self.path).map_err(|error| {
            ClientError::File(format!("cannot read {} any more: {error}", self.path.display()))
        })?;
        if now.len() != self.size || modified(&now) != self.modified {
            return Err(ClientError::File(format!("{} changed during the upload", self.path.display())));
        }
        Ok(())
    }
}

fn modified(metadata: &Metadata) -> Duration {
    let time = metadata.modified().ok();
    time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_and_a_missing_file_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Source::open(directory.path()).unwrap_err().exit, Exit::Usage);
        assert_eq!(Source::open(&directory.path().join("clip.mp4")).unwrap_err().exit, Exit::NotFound);
    }

    #[test]
    fn a_change_of_the_file_is_detected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clip.mp4");
        std::fs::write(&path, "one").unwrap();
        let source = Source::open(&path).unwrap();
        assert_eq!((source.name.as_str(), source.size), ("clip.mp4", 3));
        source.check_unchanged().unwrap();
        std::fs::write(&path, "one more").unwrap();
        let error = source.check_unchanged().unwrap_err();
        assert!(!error.is_transient() && error.to_string().ends_with("changed during the upload"), "{error}");
    }
}
