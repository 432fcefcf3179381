//! Restoring a backup.

use std::path::Path;

use super::checkpoints;
use super::contents;
use super::error::{BackupError, io};
use super::files::{self, Files};
use super::manifest::Manifest;
use super::target::Target;
use super::{INDEX, LOG, Report, SMALL, STORE, blocking, index, snapshot};

/// Makes the data directory `to`, which does not exist or is empty, from a backup, which stays as it is. Returns what was restored. Must be
/// called within a Tokio runtime.
///
/// # Errors
/// [`BackupError`]. The directory `to` is then as it was.
pub async fn restore(backup: &Path, to: &Path, report: Report) -> Result<Manifest, BackupError> {
    let (from, data) = (backup.to_owned(), to.to_owned());
    let (manifest, target) = blocking(move || {
        let manifest = Manifest::read(&from)?;
        Ok((manifest, Target::begin(&data)?))
    })
    .await?;
    let (from, copy, recorded, progress) =
        (backup.to_owned(), target.partial().to_owned(), manifest.clone(), report.clone());
    let files = blocking(move || take_over(&from, &copy, &recorded, &progress)).await?;
    contents::verify(target.partial(), backup, files, &report, 50).await?;
    blocking(move || target.finish()).await?;
    Ok(manifest)
}

/// Copies the databases and the small files, and takes over the files of objects. Returns these, if there is an object store.
fn take_over(
    backup: &Path,
    to: &Path,
    manifest: &Manifest,
    report: &Report,
) -> Result<Option<Files>, BackupError> {
    report("copying the databases", 0);
    copy_recorded(LOG, backup, to, manifest)?;
    for name in SMALL {
        if manifest.files.contains_key(name) {
            copy_recorded(name, backup, to, manifest)?;
        }
    }
    for (path, recorded) in manifest.files.iter().filter(|(path, _)| checkpoints::is_path(path)) {
        checkpoints::copy(backup, to, path)?;
        recorded.check(&to.join(path), &backup.join(path))?;
    }
    if !manifest.files.contains_key(INDEX) {
        return Ok(None);
    }
    let mut files = Files::new(&backup.join(STORE), &to.join(STORE))?;
    copy_recorded(INDEX, backup, to, manifest)?;
    report("linking files", 10);
    let referenced = index::referenced(&snapshot::open(&to.join(INDEX))?, &backup.join(INDEX))?;
    match files.take_missing(&referenced)?.iter().next() {
        Some(missing) => Err(BackupError::FileMissing(files.source(*missing))),
        None => Ok(Some(files)),
    }
}

/// Copies a file and checks that the copy is what the backup had when it was made.
fn copy_recorded(name: &str, backup: &Path, to: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let (from, copy) = (backup.join(name), to.join(name));
    let recorded = manifest.files.get(name);
    files::copy(&from, &copy).map_err(io("copy", &from))?;
    match recorded {
        Some(recorded) => recorded.check(&copy, &from),
        // The log is needed always.
        None => Err(BackupError::NoBackup(backup.to_owned())),
    }
}
