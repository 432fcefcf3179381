//! Where files are kept that the index does not name when the store opens. They may hold a tenant's bytes: if the index was lost, or an
//! older one was restored, they are the only copy.

use std::collections::HashSet;
use std::fs::{self, ReadDir};
use std::path::{Path, PathBuf};
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

use super::blobs::{BlobId, Blobs, create_dir, sync_dir};
use crate::s3::error::{IoContext as _, StoreError};

/// The directory below the store's own. It has a directory for each day on which files were moved there.
pub(super) const LOST_AND_FOUND: &str = "lost+found";

/// How long the files of a day are kept.
const KEPT: Duration = Duration::from_hours(30 * 24);

const DAY: &[time::format_description::BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// What was found on opening.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The files that no row names, which were moved.
    pub(super) moved: usize,
    /// The rows' blobs without a file: data was lost.
    pub(super) missing: usize,
    /// The days whose files were kept long enough, and were removed.
    pub(super) removed_days: usize,
}

/// Whether a complete blob exists.
pub(super) fn has_complete_blobs(blobs: &Blobs) -> Result<bool, StoreError> {
    for directory in blobs.complete_directories() {
        if entries(&directory)?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Moves the blobs that are not `referenced`, and the `unnamed` manifests, to [`LOST_AND_FOUND`], and removes the days before [`KEPT`].
/// Must be called before the first write.
pub(super) fn move_unreferenced(
    root: &Path,
    blobs: &Blobs,
    referenced: &HashSet<BlobId>,
    unnamed: Vec<PathBuf>,
    now: OffsetDateTime,
) -> Result<Found, StoreError> {
    let removed_days = remove_old_days(&root.join(LOST_AND_FOUND), now)?;
    let (mut present, mut lost) = (0, unnamed);
    for directory in std::iter::once(blobs.incoming_directory()).chain(blobs.complete_directories()) {
        for entry in entries(&directory)? {
            let entry = entry.io_context("listing blobs")?;
            let id = entry.file_name().to_str().and_then(BlobId::parse);
            if id.is_some_and(|id| referenced.contains(&id) && entry.path() == blobs.path(id)) {
                present += 1;
                continue;
            }
            lost.push(entry.path());
        }
    }
    move_files(root, &lost, now)?;
    Ok(Found { moved: lost.len(), missing: referenced.len() - present, removed_days })
}

/// Moves files of the store to the day of `now` in [`LOST_AND_FOUND`], durably.
pub(super) fn move_files(root: &Path, files: &[PathBuf], now: OffsetDateTime) -> Result<(), StoreError> {
    if files.is_empty() {
        return Ok(());
    }
    let lost_and_found = root.join(LOST_AND_FOUND);
    let day = now.date().format(DAY).map_err(std::io::Error::other).io_context("naming a day")?;
    let today = lost_and_found.join(day);
    create_dir(&today)?;
    for file in files {
        let target = unused_name(&today, file.file_name().unwrap_or_default());
        fs::rename(file, target).io_context("moving a file that the index does not name")?;
    }
    sync_dir(&today)?;
    sync_dir(&lost_and_found)?;
    sync_dir(root)
}

fn entries(directory: &Path) -> Result<ReadDir, StoreError> {
    fs::read_dir(directory).io_context("listing blobs")
}

/// `name` in `directory`, with a number if that exists: no file is replaced.
fn unused_name(directory: &Path, name: &std::ffi::OsStr) -> PathBuf {
    let mut path = directory.join(name);
    for number in 2_u64.. {
        if !path.exists() {
            break;
        }
        let mut numbered = name.to_owned();
        numbered.push(format!(".{number}"));
        path = directory.join(numbered);
    }
    path
}

fn remove_old_days(lost_and_found: &Path, now: OffsetDateTime) -> Result<usize, StoreError> {
    let days = match fs::read_dir(lost_and_found) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        days => days.io_context("listing lost+found")?,
    };
    let mut removed = 0;
    for day in days {
        let day = day.io_context("listing lost+found")?;
        let date = day.file_name().to_str().and_then(|name| time::Date::parse(name, DAY).ok());
        // An operator may keep other directories there.
        if date.is_some_and(|date| date.midnight().assume_utc() + KEPT < now) {
            fs::remove_dir_all(day.path()).io_context("removing an old day of lost+found")?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: u64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::from_hours(24 * days)
    }

    #[test]
    fn files_of_a_day_are_removed_after_thirty_days_and_other_directories_never() {
        let scratch = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(scratch.path()).unwrap();
        let kept = scratch.path().join(LOST_AND_FOUND).join("1970-01-11");
        let own = scratch.path().join(LOST_AND_FOUND).join("from the backup");
        fs::create_dir_all(&kept).unwrap();
        fs::create_dir_all(&own).unwrap();
        let open =
            |day| move_unreferenced(scratch.path(), &blobs, &HashSet::new(), Vec::new(), at(day)).unwrap();
        assert_eq!((open(40), kept.exists()), (Found::default(), true));
        assert_eq!((open(41).removed_days, kept.exists(), own.exists()), (1, false, true));
    }

    #[test]
    fn files_with_the_same_name_do_not_replace_each_other() {
        let scratch = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(scratch.path()).unwrap();
        for round in ["one", "two", "three"] {
            fs::write(scratch.path().join("incoming/half"), round).unwrap();
            let moved = move_unreferenced(scratch.path(), &blobs, &HashSet::new(), Vec::new(), at(1));
            assert_eq!(moved.unwrap().moved, 1);
        }
        let day = scratch.path().join(LOST_AND_FOUND).join("1970-01-02");
        let mut contents: Vec<_> = fs::read_dir(day)
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        contents.sort();
        assert_eq!(contents, ["one", "three", "two"]);
    }
}
