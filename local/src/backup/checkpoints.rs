//! The checkpoints of the transparency logs.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use streamio_core::audit::recording::last_recorded;
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

/// Copies the checkpoints of a data directory. Returns their paths.
pub(super) fn copy_all(data: &DataDir, to: &Path) -> Result<Vec<String>, BackupError> {
    let folder = data.audit();
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
        if data.path().join(&path).exists() {
            copy(data.path(), to, &path)?;
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Replaces each copied checkpoint by the last one that the copied log records, if that is newer: it may have been signed between the two copies,
/// and a platform does not go on from an older one. `directory` is that of the copies.
pub(super) async fn renew(log: &SqliteLog, directory: &Path) -> Result<(), BackupError> {
    let (projects, _) = log.projects_after(0).await.map_err(OperatorError::from)?;
    for project_id in projects {
        let path = directory.join(path_of(&project_id));
        let Ok(copied) = fs::read_to_string(&path) else { continue };
        let recorded = last_recorded(log, &project_id).await.map_err(OperatorError::from)?;
        // What cannot be read is copied as it is; the verification of the audit log reports it.
        let Some((recorded, copied)) = recorded.zip(stated_size(&copied)) else { continue };
        if recorded.size > copied {
            fs::write(&path, recorded.checkpoint).map_err(io("write", &path))?;
        }
    }
    Ok(())
}

/// The size that a checkpoint states in its second line, whether or not it is signed.
fn stated_size(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
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
