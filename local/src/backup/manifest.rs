//! `backup.json`: what a backup has, and the hashes of its databases.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use streamio_events::timestamp::Timestamp;

use super::contents::Contents;
use super::error::{BackupError, io as failed};

/// The file's name.
const NAME: &str = "backup.json";

/// The format of backups that this program makes and knows.
const FORMAT: u64 = 1;

/// The contents of `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The format of the backup.
    pub format: u64,
    /// When it was complete.
    pub created_at: Timestamp,
    /// The version of the program that made it.
    pub program_version: String,
    /// What it has.
    pub contents: Contents,
    /// The files that are not those of objects, by their paths.
    pub files: BTreeMap<String, RecordedFile>,
}

/// A file as it was when the backup was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedFile {
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// What every format has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u64,
}

impl Manifest {
    /// Describes the backup in `directory`, which has the files `names`.
    pub(super) fn of(
        directory: &Path,
        names: impl IntoIterator<Item = String>,
        contents: Contents,
        created_at: Timestamp,
    ) -> Result<Self, BackupError> {
        let record = |name: String| RecordedFile::of(&directory.join(&name)).map(|file| (name, file));
        Ok(Self {
            format: FORMAT,
            created_at,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            contents,
            files: names.into_iter().map(record).collect::<Result<_, _>>()?,
        })
    }

    /// Reads the description of the backup in `directory`.
    ///
    /// # Errors
    /// [`BackupError::NoBackup`], [`BackupError::Format`], [`BackupError::ManifestDamaged`], [`BackupError::Io`].
    pub(super) fn read(directory: &Path) -> Result<Self, BackupError> {
        let path = directory.join(NAME);
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => BackupError::NoBackup(directory.to_owned()),
            _ => failed("read", &path)(error),
        })?;
        let damaged = |source| BackupError::ManifestDamaged { path: path.clone(), source };
        let AnyFormat { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format != FORMAT {
            return Err(BackupError::Format { path, found: format, known: FORMAT });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Writes it into `directory`, and syncs the file.
    pub(super) fn write(&self, directory: &Path) -> Result<(), BackupError> {
        let path = directory.join(NAME);
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(failed("write", &path))
    }
}

impl RecordedFile {
    fn of(path: &Path) -> Result<Self, BackupError> {
        let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
        let mut file = File::open(path).map_err(failed("read", path))?;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Self { bytes, sha256: HEXLOWER.encode(&hash.finalize()) }),
                Ok(read) => {
                    hash.update(&buffer[..read]);
                    bytes += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", path)(error)),
            }
        }
    }

    /// Checks the copy at `path` of the file `of`.
    ///
    /// # Errors
    /// [`BackupError::Changed`], [`BackupError::Io`].
    pub(super) fn check(&self, path: &Path, of: &Path) -> Result<(), BackupError> {
        let found = Self::of(path)?;
        if found == *self {
            return Ok(());
        }
        Err(BackupError::Changed { path: of.to_owned(), expected: self.sha256.clone(), found: found.sha256 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_read_as_it_was_written_and_other_formats_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path();
        fs::write(directory.join("log.db"), "abc").unwrap();
        assert!(matches!(Manifest::read(directory), Err(BackupError::NoBackup(_))));
        let contents = Contents { events: 2, ..Contents::default() };
        let written =
            Manifest::of(directory, ["log.db".to_owned()], contents, Timestamp::from_unix_seconds(0))
                .unwrap();
        written.write(directory).unwrap();
        assert_eq!(Manifest::read(directory).unwrap(), written);
        let hash = &written.files["log.db"].sha256;
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

        let path = directory.join(NAME);
        fs::write(&path, r#"{"format": 2, "files": "other"}"#).unwrap();
        assert!(matches!(Manifest::read(directory), Err(BackupError::Format { found: 2, known: 1, .. })));
        fs::write(&path, r#"{"format": 1}"#).unwrap();
        assert!(matches!(Manifest::read(directory), Err(BackupError::ManifestDamaged { .. })));
    }
}
