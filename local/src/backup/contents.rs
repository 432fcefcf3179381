//! Verifying a copy of a data directory, and counting what it has.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::checkpoints;
use super::error::BackupError;
use super::files::Files;
use super::{INDEX, LOG, Report, blocking, index, snapshot};
use crate::operator::{IfMissing, Operator, Verification};

/// What a backup has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// The number of streams in the log.
    pub streams: u64,
    /// The number of commits in the log.
    pub commits: u64,
    /// The number of events in these commits.
    pub events: u64,
    /// The position of the last commit.
    pub last_position: u64,
    /// The number of versions of objects, with delete markers.
    pub object_versions: u64,
    /// The number of files that hold the bytes of objects, and of the parts of uploads in progress.
    pub object_files: u64,
    /// The bytes of these files.
    pub object_bytes: u64,
}

/// Verifies the copy in `directory`, and returns what it has. It was made of the directory `of`, which errors name. `files` are those of
/// the object store, if it has one. The progress goes from `from` to 100 percent.
///
/// # Errors
/// [`BackupError::LogChanged`], [`BackupError::DatabaseDamaged`], [`BackupError::FileMissing`], [`BackupError::FileLength`], and those of
/// reading.
pub(super) async fn verify(
    directory: &Path,
    of: &Path,
    files: Option<Files>,
    report: &Report,
    from: u64,
) -> Result<Contents, BackupError> {
    let (copy, named) = (directory.to_owned(), of.to_owned());
    let objects = blocking(move || {
        snapshot::check(&snapshot::open(&copy.join(LOG))?, &named.join(LOG))?;
        files.map_or_else(|| Ok(Contents::default()), |files| verify_objects(&copy, &named, &files))
    });
    let objects = objects.await?;

    let operator = Operator::open(directory, IfMissing::Fail)?;
    let mut last_position = 0;
    let mut verification = Verification::default();
    let on_progress = |position: u64, end: u64| {
        last_position = end;
        report("verifying the log", from + position.saturating_mul(100 - from) / end.max(1));
    };
    operator.verify(on_progress, &mut verification).await?;
    report("verifying the log", 100);
    if !verification.findings.is_empty() {
        return Err(BackupError::LogChanged(verification.findings));
    }
    checkpoints::renew(operator.log(), directory).await?;
    drop(operator);
    let log = directory.join(LOG);
    blocking(move || snapshot::settle(&log)).await?;
    Ok(Contents {
        streams: verification.streams,
        commits: verification.commits,
        events: verification.events,
        last_position,
        ..objects
    })
}

fn verify_objects(directory: &Path, of: &Path, files: &Files) -> Result<Contents, BackupError> {
    let path = of.join(INDEX);
    let index = snapshot::open(&directory.join(INDEX))?;
    snapshot::check(&index, &path)?;
    let referenced = index::referenced(&index, &path)?;
    files.check(&referenced)?;
    Ok(Contents {
        object_versions: index::versions(&index, &path)?,
        object_files: referenced.len() as u64,
        object_bytes: referenced.values().sum(),
        ..Contents::default()
    })
}
