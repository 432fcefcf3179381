//! The file that is uploaded.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::client::error::ClientError;
use crate::exit::{Exit, Failure};

/// A file as it was when the upload began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The absolute path without links.
    pub(crate) path: PathBuf,
    /// The file's own name.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: u64,
    /// When it was last changed, since the Unix epoch; zero where the file system does not tell.
    pub(crate) modified: Duration,
}

impl Source {
    /// The file at `path`, if it can be read.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error: &io::Error| {
            let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
            Failure::new(exit, format!("{} cannot be read: {error}", path.display()), "name a readable file")
        };
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
        if !metadata.is_file() {
            return Err(Failure::usage(format!("{} is not a file", path.display()), "name one video file"));
        }
        std::fs::File::open(path).map_err(|error| unreadable(&error))?;
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Failure::usage(
                format!("the name of {} is not UTF-8", path.display()),
                "give another one with --name",
            )
        });
        Ok(Self {
            path: path.canonicalize().map_err(|error| unreadable(&error))?,
            name: name?.to_owned(),
            size: metadata.len(),
            modified: modified(&metadata),
        })
    }

    /// Refuses to go on when the file is not what it was.
    pub(crate) fn check_unchanged(&self) -> Result<(), ClientError> {
        let now = std::fs::metadata(&self.path).map_err(|error| {
            ClientError::File(format!("{} can no longer be read: {error}", self.path.display()))
        })?;
        if now.len() != self.size || modified(&now) != self.modified {
            return Err(ClientError::File(format!("{} changed while it was uploaded", self.path.display())));
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
    fn a_file_that_grows_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clip.mp4");
        std::fs::write(&path, "one").unwrap();
        let source = Source::open(&path).unwrap();
        assert_eq!((source.name.as_str(), source.size), ("clip.mp4", 3));
        source.check_unchanged().unwrap();
        std::fs::write(&path, "one more").unwrap();
        let error = source.check_unchanged().unwrap_err();
        assert!(
            !error.is_transient() && error.to_string().ends_with("changed while it was uploaded"),
            "{error}"
        );
    }
}
