//! Checking the store's files against its index, and repairing the index.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::Serialize;
use time::OffsetDateTime;

use super::blobs::Blobs;
use super::fault::{Fault, fault_of_blob, fault_of_blobs, name_of};
use super::handle::{INDEX, is_lost, lock, referenced_blobs};
use super::lost_found::{LOST_AND_FOUND, has_complete_blobs, move_files};
use super::manifests::{self, Manifests};
use super::rebuild::rebuild;
use super::row::to_u64;
use super::schema;
use crate::s3::error::{IoContext as _, StoreError};

/// What a check does beside the comparison of the index with the names and lengths of the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Rebuild an index that is missing or damaged, and write manifests that are missing or differ from the index.
    pub repair: bool,
    /// Read all bytes and compare them with the entity tags.
    pub read_bytes: bool,
}

/// The state of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IndexState {
    /// It can be read.
    Intact,
    /// There is none, or a new one, although there are files of objects.
    Missing,
    /// SQLite found damage.
    Damaged,
    /// It does not name what was written later: an earlier copy of it was put back.
    Outdated,
    /// It could not be used, and was rebuilt from the manifests.
    Rebuilt,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The index.
    pub index: IndexState,
    /// The versions of objects that the index names, without delete markers.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// What is wrong and was not repaired, one sentence for each.
    pub faults: Vec<String>,
    /// The number of manifests that were written.
    pub repaired_manifests: u64,
    /// The files of blobs that the index does not name. The next start of the platform moves them to `lost+found`.
    pub unreferenced: u64,
    /// The files in `lost+found`.
    pub lost_and_found: u64,
}

/// Checks the store in `directory`, which no platform may have open. Without [`CheckOptions::repair`] it changes no object: it only opens the
/// index as a start does, and a directory that was never used gets an empty one. Calls `progress` with the bytes of the versions that were
/// checked, and of all.
///
/// # Errors
/// [`StoreError::InUse`], [`StoreError::SchemaTooNew`], internal errors. Faults of the store's files are part of the report.
pub fn check(
    directory: &Path,
    options: CheckOptions,
    mut progress: impl FnMut(u64, u64),
) -> Result<CheckReport, StoreError> {
    let _lock = lock(directory)?;
    let blobs = Blobs::open(directory)?;
    let manifests = Manifests::open(directory)?;
    let mut index = state_of_index(directory, &blobs, &manifests)?;
    let mut faults = Vec::new();
    if index != IndexState::Intact {
        let is_rebuildable =
            index != IndexState::Missing || manifests.has_versions()? || !has_complete_blobs(&blobs)?;
        if !options.repair || !is_rebuildable {
            let lost_and_found = files_below(&directory.join(LOST_AND_FOUND))?;
            let faults = vec![fault_of_index(index, directory, is_rebuildable)];
            let (objects, bytes, repaired_manifests, unreferenced) = (0, 0, 0, 0);
            return Ok(CheckReport {
                index,
                objects,
                bytes,
                faults,
                repaired_manifests,
                unreferenced,
                lost_and_found,
            });
        }
        faults = rebuild(directory, &manifests, OffsetDateTime::now_utc())?;
        index = IndexState::Rebuilt;
    }
    let db = schema::open_reader(&directory.join(INDEX))?;
    let total: i64 = db.query_row("SELECT coalesce(sum(size), 0) FROM objects", [], |row| row.get(0))?;
    let total = to_u64(total)?;
    let (mut objects, mut bytes, mut repaired_manifests) = (0, 0, 0);
    manifests::for_each_row(&db, |row| {
        if !row.is_marker {
            (objects, bytes) = (objects + 1, bytes + row.size);
        }
        let fault = fault_of_blobs(&blobs, &row, options.read_bytes)?;
        let manifest = manifests.read(&row.version());
        let is_better = match (&fault, &manifest) {
            (Some(_), Some(manifest)) if *manifest != row => {
                fault_of_blobs(&blobs, manifest, true)?.is_none()
            }
            _ => false,
        };
        if is_better {
            faults.push(Fault::WrongRow { version: name_of(&row) });
        } else if manifest.as_ref() != Some(&row) {
            if options.repair {
                let former = manifests.path_of(&row.version());
                let former: Vec<PathBuf> = Some(former).filter(|path| path.exists()).into_iter().collect();
                move_files(directory, &former, OffsetDateTime::now_utc())?;
                manifests.write(&row)?;
                repaired_manifests += 1;
            } else {
                faults.push(Fault::Manifest { version: name_of(&row) });
            }
        }
        faults.extend(fault);
        progress(bytes, total);
        Ok(())
    })?;
    faults.extend(faults_of_parts(&db, &blobs)?);
    if options.repair {
        manifests.write_buckets(&manifests::buckets(&db)?)?;
    }
    Ok(CheckReport {
        index,
        objects,
        bytes,
        faults: faults.iter().map(ToString::to_string).collect(),
        repaired_manifests,
        unreferenced: unreferenced(&db, &blobs)?,
        lost_and_found: files_below(&directory.join(LOST_AND_FOUND))?,
    })
}

/// The faults of uploads in parts that were not completed.
fn faults_of_parts(db: &Connection, blobs: &Blobs) -> Result<Vec<Fault>, StoreError> {
    let mut statement = db.prepare(
        "SELECT bucket, key, number, blob, size FROM parts JOIN uploads ON uploads.id = upload ORDER BY bucket, key, number",
    )?;
    let mut rows = statement.query([])?;
    let mut faults = Vec::new();
    while let Some(row) = rows.next()? {
        let (bucket, key, number): (String, String, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let version = format!("part {number} of an upload to {bucket}/{key}");
        faults.extend(fault_of_blob(blobs.path(row.get(3)?), to_u64(row.get(4)?)?, &version)?);
    }
    Ok(faults)
}

fn state_of_index(directory: &Path, blobs: &Blobs, manifests: &Manifests) -> Result<IndexState, StoreError> {
    let path = directory.join(INDEX);
    let holds_objects = has_complete_blobs(blobs)? || manifests.has_versions()?;
    if !path.exists() && (holds_objects || manifests.has_buckets()) {
        return Ok(IndexState::Missing);
    }
    match schema::open_writer(&path) {
        Ok(db) => {
            let unnamed = manifests.compare(&db)?.unnamed;
            if holds_objects && is_lost(&db, manifests, &unnamed)? {
                return Ok(IndexState::Missing);
            }
            let is_outdated = manifests::later_than(&db, &unnamed)?.is_some();
            Ok(if is_outdated { IndexState::Outdated } else { IndexState::Intact })
        }
        Err(StoreError::IndexDamaged { .. }) => Ok(IndexState::Damaged),
        Err(error) => Err(error),
    }
}

fn fault_of_index(index: IndexState, directory: &Path, is_rebuildable: bool) -> String {
    let what = match index {
        IndexState::Damaged => "damaged",
        IndexState::Outdated => "older than the files",
        _ => "missing or new, but the store was used",
    };
    let advice = if is_rebuildable {
        "rebuild it from the manifests with --repair, or restore it from a backup"
    } else {
        "there are no manifests to rebuild it from: restore it from a backup, or move the directory away to begin with an empty store"
    };
    format!("the index {} is {what}; {advice}", directory.join(INDEX).display())
}

fn unreferenced(db: &Connection, blobs: &Blobs) -> Result<u64, StoreError> {
    let mut files = 0;
    for directory in std::iter::once(blobs.incoming_directory()).chain(blobs.complete_directories()) {
        files += files_below(&directory)?;
    }
    let referenced = referenced_blobs(db)?;
    let present = referenced.iter().filter(|id| blobs.path(**id).exists()).count();
    Ok(files.saturating_sub(u64::try_from(present).unwrap_or(u64::MAX)))
}

/// The number of files in a directory and those below it; 0 if it does not exist.
fn files_below(directory: &Path) -> Result<u64, StoreError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.io_context("listing a directory")?,
    };
    let mut files = 0;
    for entry in entries {
        let entry = entry.io_context("listing a directory")?;
        let is_directory = entry.file_type().io_context("listing a directory")?.is_dir();
        files += if is_directory { files_below(&entry.path())? } else { 1 };
    }
    Ok(files)
}
