//! Whether the data directory of a stopped platform is sound.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rusqlite::Connection;
use serde::Deserialize;

use crate::platform::program::Places;

/// The databases. Each has files beside it while it is open.
const DATABASES: [&str; 3] = ["log.db", "views.db", "s3/objects.db"];

/// The members of the report of `streamio store check --json` that are read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    faults: Vec<String>,
    unreferenced: u64,
}

/// Checks the log and the store with the operator's commands. A platform that was killed may leave files that no object names; one that
/// was stopped leaves none.
pub(in crate::torture) fn check_with_commands(places: &Places, was_stopped: bool) -> Result<()> {
    places.run(&["events", "verify"])?;
    places.run(&["audit", "verify"])?;
    let report: Report = places.operate(&["store", "check", "--read"])?;
    ensure!(report.faults.is_empty(), "`streamio store check` found {:?}", report.faults);
    ensure!(
        !was_stopped || report.unreferenced == 0,
        "a stopped platform leaves {} files that no object names",
        report.unreferenced
    );
    Ok(())
}

/// Checks the form of the databases, and that there is no file without a purpose.
pub(in crate::torture) fn check_files(data: &Path) -> Result<()> {
    for database in DATABASES {
        let connection = Connection::open(data.join(database))?;
        let result: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        ensure!(result == "ok", "{database} is damaged: {result}");
    }
    match first_stray(data, Path::new(""))? {
        Some(stray) => bail!("{stray} in the data directory has no purpose"),
        None => Ok(()),
    }
}

/// The first file in the data directory that is not one of the documented ones.
fn first_stray(data: &Path, below: &Path) -> Result<Option<String>> {
    let directory = data.join(below);
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let name = path.to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            if let Some(stray) = first_stray(data, &path)? {
                return Ok(Some(stray));
            }
        } else if !is_documented(&name) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Whether `docs/operations.md` knows a file of this path. `s3/incoming` and `scratch` are empty in a stopped platform.
fn is_documented(path: &str) -> bool {
    const FILES: &[&str] = &[
        "secrets.json",
        "audit.json",
        "platform.json",
        "platform.lock",
        "replay.lock",
        "s3/lock",
        "s3/manifests/buckets.json",
    ];
    let database = path.trim_end_matches("-wal").trim_end_matches("-shm");
    let is_blob = |name: &str| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    FILES.contains(&path)
        || DATABASES.contains(&path)
        || (path != database && DATABASES.contains(&database))
        || path.starts_with("s3/lost+found/")
        || matches!(
            path.split('/').collect::<Vec<_>>()[..],
            ["audit", _, "checkpoint"] | ["audit", _, "tile", _, ..]
        )
        || matches!(path.split('/').collect::<Vec<_>>()[..], ["s3", "blobs", _, name] if is_blob(name))
        || matches!(path.split('/').collect::<Vec<_>>()[..], ["s3", "manifests", _, name]
            if name.strip_suffix(".json").is_some_and(is_blob))
}

#[cfg(test)]
mod tests {
    use super::is_documented;

    #[test]
    fn files_of_interrupted_writes_are_strays() {
        for path in [
            "log.db",
            "log.db-wal",
            "s3/objects.db-shm",
            "s3/blobs/0a/0a112233445566778899aabbccddeeff",
            "s3/manifests/0a/0a112233445566778899aabbccddeeff.json",
            "s3/lost+found/2026-01-02/x",
            "audit/torture/checkpoint",
            "audit/torture/tile/entries/000.p/7",
        ] {
            assert!(is_documented(path), "{path}");
        }
        for path in [
            "secrets.json.new",
            "log.db-journal",
            "audit/torture/new",
            "platform.json-wal",
            "scratch/attempt/x.mp4",
            "s3/incoming/0a112233445566778899aabbccddeeff",
            "s3/manifests/0a/0a112233445566778899aabbccddeeff.partial",
        ] {
            assert!(!is_documented(path), "{path}");
        }
    }
}
