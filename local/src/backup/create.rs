//! Making a backup.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::checkpoints;
use super::contents::{self, Contents};
use super::error::{BackupError, io};
use super::files::{self, FileId, Files};
use super::manifest::Manifest;
use super::snapshot::Snapshot;
use super::target::Target;
use super::{INDEX, LOG, Report, SMALL, STORE, blocking, index};
use crate::clock::now;
use crate::data_dir::DataDir;

/// How often the databases are read again because objects were deleted before their files were linked.
const ATTEMPTS: u32 = 20;

/// Makes a backup of the data directory `data` in the directory `to`, which does not exist or is empty. A platform may run on the data
/// directory. Returns the contents of `backup.json`. Must be called within a Tokio runtime.
///
/// # Errors
/// [`BackupError`]. The directory `to` is then as it was.
pub async fn back_up(data: &Path, to: &Path, report: Report) -> Result<Manifest, BackupError> {
    if !data.join(LOG).is_file() {
        return Err(BackupError::NoData(data.to_owned()));
    }
    let directory = DataDir::open(data)?;
    let data = directory.path().to_owned();
    refuse_inside(&data, to)?;
    let target = Target::begin(to)?;
    let (from, copy, progress) = (directory, target.partial().to_owned(), report.clone());
    let files = blocking(move || take_over(&from, &copy, &progress)).await?;
    let has_store = files.is_some();
    let contents = contents::verify(target.partial(), &data, files, &report, 60).await?;
    blocking(move || finish(target, has_store, contents)).await
}

/// Refuses a backup in the data directory: it would be lost with it.
fn refuse_inside(data: &Path, to: &Path) -> Result<(), BackupError> {
    let absolute = std::path::absolute(to).map_err(io("find", to))?;
    let parent = absolute.parent().and_then(|parent| parent.canonicalize().ok());
    let data = data.canonicalize().map_err(io("find", data))?;
    if parent.is_some_and(|parent| parent.starts_with(&data)) {
        return Err(BackupError::InsideData(to.to_owned()));
    }
    Ok(())
}

/// Copies the databases, the checkpoints and the small files, and takes over the files of objects. Returns these, if there is an object
/// store.
fn take_over(directory: &DataDir, to: &Path, report: &Report) -> Result<Option<Files>, BackupError> {
    // Before the log is read: a checkpoint is of commits that are in the log.
    checkpoints::copy_all(directory, to)?;
    let data = directory.path();
    let (store, index) = (data.join(STORE), data.join(INDEX));
    let mut files = if index.is_file() {
        Some(Files::new(&store, &to.join(STORE))?)
    } else if files::has_any(&store)? {
        return Err(BackupError::IndexMissing(index));
    } else {
        None
    };
    let snapshot = match &mut files {
        Some(files) => {
            files.take_all(|directories| report("linking files", directories * 50 / 256))?;
            let (snapshot, referenced) = snapshot_with_files(data, files, |_| ())?;
            files.remove_others(&referenced)?;
            snapshot
        }
        None => Snapshot::take(&data.join(LOG), None)?,
    };
    report("copying the databases", 50);
    snapshot.copy(&to.join(LOG), &to.join(INDEX))?;
    for name in SMALL {
        let from = data.join(name);
        if from.exists() {
            files::copy(&from, &to.join(name)).map_err(io("copy", &from))?;
        }
    }
    Ok(files)
}

/// Reads both databases at one moment, and takes over the files that the index names at that moment. Files can be removed between the
/// two, because their objects are deleted; then the databases are read again. `meanwhile` is called between the two with the number of
/// the attempt.
///
/// # Errors
/// [`BackupError::FileMissing`] for a file that the index still names after it was missed: it does not exist because it was lost.
/// [`BackupError::DeletedMeanwhile`] after [`ATTEMPTS`].
fn snapshot_with_files(
    data: &Path,
    files: &mut Files,
    mut meanwhile: impl FnMut(u32),
) -> Result<(Snapshot, HashMap<FileId, u64>), BackupError> {
    let mut missed = HashSet::new();
    for attempt in 1..=ATTEMPTS {
        let snapshot = Snapshot::take(&data.join(LOG), Some(&data.join(INDEX)))?;
        let referenced = match snapshot.index() {
            Some((index, path)) => index::referenced(index, path)?,
            None => HashMap::new(),
        };
        meanwhile(attempt);
        let missing = files.take_missing(&referenced)?;
        if missing.is_empty() {
            return Ok((snapshot, referenced));
        }
        // A file is removed after its last row, and names are never used again.
        if let Some(lost) = missing.intersection(&missed).next() {
            return Err(BackupError::FileMissing(files.source(*lost)));
        }
        missed = missing;
    }
    Err(BackupError::DeletedMeanwhile(ATTEMPTS))
}

/// Describes the verified backup and gives it its name.
fn finish(target: Target, has_store: bool, contents: Contents) -> Result<Manifest, BackupError> {
    let directory = target.partial();
    let names = [LOG].into_iter().chain(has_store.then_some(INDEX)).chain(SMALL);
    let names = names.filter(|name| directory.join(name).exists()).map(str::to_owned);
    let names = names.chain(checkpoints::paths(directory)?);
    let manifest = Manifest::of(directory, names, contents, now())?;
    manifest.write(directory)?;
    target.finish()?;
    Ok(manifest)
}

#[cfg(test)]
mod tests;
