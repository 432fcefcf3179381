//! The checkpoints of the transparency logs.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use streamio_events::id::ProjectId;

use super::error::{BackupError, io};
use super::files;
use crate::audit_log::CHECKPOINT;
use crate::data_dir::{DataDir, create_durably, sync_if_possible};

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
