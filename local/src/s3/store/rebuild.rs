//! Rebuilding a lost index from the manifests.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Transaction, params};
use time::OffsetDateTime;

use super::blobs::sync_dir;
use super::fault::Fault;
use super::handle::INDEX;
use super::lost_found;
use super::manifests::{BucketState, Manifest, Manifests};
use super::row::{to_i64, to_json, versioning_column};
use super::schema;
use crate::s3::error::{IoContext as _, StoreError};
use crate::s3::event_notification::CreatedBy;
use crate::s3::version::{NULL_VERSION, Versioning};

/// The index while it is being rebuilt.
const PARTIAL: &str = "objects.db.partial";

/// Rebuilds the index from the manifests. The former index is kept in `lost+found`. Returns what could not be rebuilt.
///
/// Versions of which a blob is missing are kept, as the former index had them. Uploads in parts that were not completed are lost. All current objects of watched buckets get an event notification, because those that were not acknowledged are lost; who
/// reads them must expect repetitions in any case.
pub(super) fn rebuild(
    root: &Path,
    manifests: &Manifests,
    now: OffsetDateTime,
) -> Result<Vec<Fault>, StoreError> {
    let partial = root.join(PARTIAL);
    remove_database(&partial)?;
    let mut connection = schema::open_writer(&partial)?;
    let (found, unreadable) = manifests.read_all()?;
    let faults: Vec<Fault> = unreadable.into_iter().map(Fault::UnreadableManifest).collect();
    let transaction = connection.transaction()?;
    // Without their file, the buckets of all objects are made as the platform makes new ones.
    let mut buckets: HashSet<String> = HashSet::new();
    for bucket in manifests.read_buckets().unwrap_or_default() {
        insert_bucket(&transaction, &bucket)?;
        buckets.insert(bucket.name);
    }
    for manifest in &found {
        if buckets.insert(manifest.bucket.clone()) {
            insert_bucket(&transaction, &unknown_bucket(&found, &manifest.bucket))?;
        }
        insert(&transaction, manifest)?;
    }
    complete(&transaction)?;
    transaction.commit()?;
    schema::checkpoint(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    let former: Vec<PathBuf> =
        database_files(&root.join(INDEX)).into_iter().filter(|it| it.exists()).collect();
    lost_found::move_files(root, &former, now)?;
    fs::rename(&partial, root.join(INDEX)).io_context("moving the rebuilt index to its path")?;
    sync_dir(root)?;
    Ok(faults)
}

/// A database, its write-ahead log and the index of that.
fn database_files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

fn remove_database(path: &Path) -> Result<(), StoreError> {
    for file in database_files(path) {
        match fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).io_context("removing an index that was not completed");
            }
            _ => {}
        }
    }
    Ok(())
}

/// A bucket of which only the versions are known: it is versioned if one of them has an id.
fn unknown_bucket(manifests: &[Manifest], name: &str) -> BucketState {
    let of_bucket = || manifests.iter().filter(|manifest| manifest.bucket == name);
    let created_at = of_bucket().map(|manifest| manifest.last_modified).min().unwrap_or(0);
    let is_versioned = of_bucket().any(|manifest| manifest.version_id != NULL_VERSION);
    let versioning = if is_versioned { Versioning::Enabled } else { Versioning::Off };
    BucketState {
        name: name.to_owned(),
        created_at,
        watched: false,
        versioning: versioning_column(versioning),
    }
}

fn insert_bucket(transaction: &Transaction<'_>, bucket: &BucketState) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO buckets (name, created_at, watched, versioning) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![bucket.name, bucket.created_at, bucket.watched, bucket.versioning])?;
    Ok(())
}

/// Inserts a version that is not the newest.
fn insert(transaction: &Transaction<'_>, manifest: &Manifest) -> Result<(), StoreError> {
    let checksum = manifest.checksum.as_ref().map(to_json).transpose()?;
    transaction
        .prepare_cached(
            "INSERT INTO objects (bucket, key, etag, size, last_modified, sequencer, headers, checksum, parts, upload,
                                  version_id, is_latest, is_marker)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12)",
        )?
        .execute(params![
            manifest.bucket,
            manifest.key,
            manifest.etag,
            to_i64(manifest.size)?,
            manifest.last_modified,
            manifest.sequencer,
            to_json(&manifest.headers)?,
            checksum,
            manifest.parts,
            manifest.upload,
            manifest.version_id,
            manifest.is_marker,
        ])?;
    let object = transaction.last_insert_rowid();
    let mut statement = transaction
        .prepare_cached("INSERT INTO segments (object, position, blob, length) VALUES (?1, ?2, ?3, ?4)")?;
    for (position, segment) in (0_i64..).zip(&manifest.segments) {
        statement.execute(params![object, position, segment.id()?, to_i64(segment.length)?])?;
    }
    Ok(())
}

/// Marks the newest versions, continues the sequence, and adds event notifications.
fn complete(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    transaction.execute(
        "UPDATE objects SET is_latest = 1 WHERE NOT EXISTS
             (SELECT 1 FROM objects AS newer WHERE newer.bucket = objects.bucket AND newer.key = objects.key
              AND newer.sequencer > objects.sequencer)",
        [],
    )?;
    let last: Option<String> =
        transaction.query_row("SELECT max(sequencer) FROM objects", [], |row| row.get(0))?;
    let last = last.and_then(|last| i64::from_str_radix(&last, 16).ok()).unwrap_or(0);
    transaction.execute("UPDATE sequence SET value = ?1", [last])?;
    transaction.execute(
        "INSERT INTO notices (bucket, key, size, etag, sequencer, content_type, event_name, event_time, version_id)
         SELECT bucket, key, size, etag, sequencer, headers ->> 'content_type', ?1, last_modified,
                CASE WHEN buckets.versioning <> 0 THEN version_id END
         FROM objects JOIN buckets ON buckets.name = bucket
         WHERE watched = 1 AND is_latest = 1 AND is_marker = 0 ORDER BY sequencer",
        [CreatedBy::Put.event_name()],
    )?;
    Ok(())
}
