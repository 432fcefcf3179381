//! The checkpoints of the transparency logs.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use streamio_core::audit::recording::{RecordingError, last_recorded};
use streamio_events::id::ProjectId;
use streamio_events::sqlite::SqliteLog;

use super::error::{BackupError, io};
use super::files;
use crate::audit_log::CHECKPOINT;
use crate::data_dir::{DataDir, create_durably, sync_if_possible};
use crate::operator::OperatorError;

/// The folder of the transparency logs, in a data directory and in a backup.
const FOLDER: &str = "audit";

/// The path of a project's checkpoint.
fn path_of(project_id: &ProjectId) -> String {
    format!("{FOLDER}/{project_id}/{CHECKPOINT}")
}

/// Whether this path, which a manifest states, is that of a checkpoint.
pub(super) fn is_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts[..], [FOLDER, id, CHECKPOINT] if id.parse::<ProjectId>().is_ok())
}

/// Copies the checkpoints of a data directory.
pub(super) fn copy_all(data: &DataDir, to: &Path) -> Result<(), BackupError> {
    paths(data.path())?.iter().try_for_each(|path| copy(data.path(), to, path))
}

/// The paths of the checkpoints in a data directory or a backup.
pub(super) fn paths(directory: &Path) -> Result<Vec<String>, BackupError> {
    let folder = directory.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("read", &folder)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let name = entry.map_err(io("read", &folder))?.file_name();
        let Some(project_id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let path = path_of(&project_id);
        // A project may have a folder and no checkpoint yet.
        if directory.join(&path).exists() {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Puts the last checkpoint that the copied log records in the place of a copied one that is older or missing: it may have been signed between the
/// two copies, and a platform does not go on from an older one. `directory` is that of the copies.
pub(super) async fn renew(log: &SqliteLog, directory: &Path) -> Result<(), BackupError> {
    let (projects, _) = log.projects_after(0).await.map_err(OperatorError::from)?;
    for project_id in projects {
        let path = directory.join(path_of(&project_id));
        let copied = match fs::read(&path) {
            Ok(copied) => Some(copied),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(io("read", &path)(error)),
        };
        let recorded = match last_recorded(log, &project_id).await {
            Ok(recorded) => recorded,
            // It is copied as it is; the verification of the audit log reports it.
            Err(RecordingError::Unreadable(_)) => continue,
            Err(error) => return Err(OperatorError::from(error).into()),
        };
        let Some(recorded) = recorded else { continue };
        let is_older = match copied {
            None => true,
            Some(copied) => stated_size(&copied).is_some_and(|size| size < recorded.size),
        };
        if is_older {
            write(&path, recorded.checkpoint.as_bytes()).map_err(io("write", &path))?;
        }
    }
    Ok(())
}

/// Writes a file, which is synced and readable by its owner only.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        create_durably(folder, sync_if_possible)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The size that a checkpoint states in its second line, whether or not it is signed.
fn stated_size(note: &[u8]) -> Option<u64> {
    std::str::from_utf8(note).ok()?.lines().nth(1)?.parse().ok()
}

/// Copies the checkpoint with this path.
pub(super) fn copy(from: &Path, to: &Path, path: &str) -> Result<(), BackupError> {
    let (from, to) = (from.join(path), to.join(path));
    if let Some(folder) = to.parent() {
        create_durably(folder, sync_if_possible).map_err(io("create", folder))?;
    }
    files::copy(&from, &to).map_err(io("copy", &from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_checkpoints_are_restored() {
        assert!(is_path(&path_of(&"acme".parse().unwrap())));
        for path in [
            "audit/../checkpoint",
            "audit/acme/tile",
            "/audit/acme/checkpoint",
            "audit/acme/x/checkpoint",
            "",
        ] {
            assert!(!is_path(path), "{path}");
        }
    }
}
