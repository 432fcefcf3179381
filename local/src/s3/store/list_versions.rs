//! Listing versions and delete markers in pages: by key in byte order, the newest version of a key first.

use rusqlite::{Connection, OptionalExtension as _, ToSql, params};

use super::handle::Store;
use super::list::common_prefix;
use super::object_rows::{OBJECT_COLUMNS, find_version, version_of_row};
use super::row::{after_prefix, require_bucket};
use crate::s3::error::StoreError;
use crate::s3::version::{NULL_VERSION, ObjectVersion, marker_after, sequencer_in};

/// What to list. An *entry* is a version, a delete marker or, with a delimiter, a common prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionListRequest {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that contain this after the prefix are grouped under a common prefix that ends with it. Must not be empty.
    pub delimiter: Option<String>,
    /// Only entries after this one.
    pub after: Option<VersionMarker>,
    /// The largest number of entries.
    pub limit: usize,
}

/// A place in a listing of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionMarker {
    /// A key or a common prefix.
    pub key: String,
    /// A version of the key, which may have been removed meanwhile; `None` for all its versions.
    pub version_id: Option<String>,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionListing {
    /// The versions and delete markers.
    pub versions: Vec<ObjectVersion>,
    /// The common prefixes.
    pub common_prefixes: Vec<String>,
    /// The [`VersionListRequest::after`] of the next page; `None` on the last page.
    pub next: Option<VersionMarker>,
}

impl Store {
    /// The versions and delete markers of a key, the newest first.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn versions(&self, bucket: &str, key: &str) -> Result<Vec<ObjectVersion>, StoreError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.read(move |db| {
            require_bucket(db, &bucket)?;
            let mut statement = db.prepare_cached(&format!(
                "SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2 ORDER BY sequencer DESC"
            ))?;
            let mut rows = statement.query([bucket, key])?;
            let mut versions = Vec::new();
            while let Some(row) = rows.next()? {
                versions.push(version_of_row(row)?.1);
            }
            Ok(versions)
        })
        .await
    }

    /// Lists a page of the versions of a bucket.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::InvalidVersionId`] for a marker, internal errors.
    pub async fn list_versions(
        &self,
        bucket: &str,
        request: VersionListRequest,
    ) -> Result<VersionListing, StoreError> {
        let bucket = bucket.to_owned();
        self.read(move |db| {
            // One transaction, so that a page is a consistent snapshot.
            let db = db.unchecked_transaction()?;
            require_bucket(&db, &bucket)?;
            list(&db, &bucket, &request)
        })
        .await
    }
}

fn list(db: &Connection, bucket: &str, request: &VersionListRequest) -> Result<VersionListing, StoreError> {
    let mut listing = VersionListing::default();
    let mut from = start(db, bucket, request)?;
    if request.limit == 0 {
        return Ok(listing);
    }
    let mut last = None;
    while let Some(bound) = from {
        let Some(version) = first_at(db, bucket, bound, &request.prefix)? else { break };
        if listing.versions.len() + listing.common_prefixes.len() == request.limit {
            listing.next = last;
            break;
        }
        if let Some(common) = common_prefix(&version.key, &request.prefix, request.delimiter.as_deref()) {
            from = after_prefix(common).map(Bound::From);
            last = Some(VersionMarker { key: common.to_owned(), version_id: None });
            listing.common_prefixes.push(common.to_owned());
        } else {
            let (key, sequencer) = (version.key.clone(), version.sequencer.clone());
            // The version 'null' has no sequencer in its id, so its marker has the form of another version id.
            let null = version.version_id == NULL_VERSION;
            let version_id = if null { marker_after(&sequencer) } else { version.version_id.clone() };
            last = Some(VersionMarker { key: key.clone(), version_id: Some(version_id) });
            from = Some(Bound::Older { key, sequencer });
            listing.versions.push(version);
        }
    }
    Ok(listing)
}

/// The lower bound of the next version.
enum Bound {
    /// The versions of keys at or after this string.
    From(String),
    /// The versions of keys after this string.
    After(String),
    /// The versions of the key that are older than the sequencer, then those of later keys.
    Older { key: String, sequencer: String },
}

/// The lower bound of the first version; `None` if no version can match.
fn start(db: &Connection, bucket: &str, request: &VersionListRequest) -> Result<Option<Bound>, StoreError> {
    let from_prefix = || Bound::From(request.prefix.clone());
    let Some(after) = &request.after else { return Ok(Some(from_prefix())) };
    let key = after.key.clone();
    let bound = match after.version_id.as_deref() {
        None => Bound::After(key),
        Some(NULL_VERSION) => match find_version(db, bucket, &key, Some(NULL_VERSION))? {
            Some((_, version)) => Bound::Older { key, sequencer: version.sequencer },
            // Its place is unknown. Repeating the versions of the key loses none.
            None => Bound::From(key),
        },
        Some(version_id) => match sequencer_in(version_id) {
            Some(sequencer) => Bound::Older { key, sequencer },
            None => return Err(StoreError::InvalidVersionId { version_id: version_id.to_owned() }),
        },
    };
    if after.key < request.prefix {
        return Ok(Some(from_prefix()));
    }
    // A common prefix is one entry: after one of its keys the next entry is after all of them.
    Ok(match common_prefix(&after.key, &request.prefix, request.delimiter.as_deref()) {
        Some(common) => after_prefix(common).map(Bound::From),
        None => Some(bound),
    })
}

/// The first version from the bound on whose key begins with the prefix.
fn first_at(
    db: &Connection,
    bucket: &str,
    bound: Bound,
    prefix: &str,
) -> Result<Option<ObjectVersion>, StoreError> {
    let found = match bound {
        Bound::From(key) => first_where(db, "key >= ?2", params![bucket, key])?,
        Bound::After(key) => first_where(db, "key > ?2", params![bucket, key])?,
        Bound::Older { key, sequencer } => {
            match first_where(db, "key = ?2 AND sequencer < ?3", params![bucket, key, sequencer])? {
                Some(older) => Some(older),
                None => first_where(db, "key > ?2", params![bucket, key])?,
            }
        }
    };
    Ok(found.filter(|version| version.key.starts_with(prefix)))
}

/// The first version in the order of listings that fulfils the condition.
fn first_where(
    db: &Connection,
    condition: &str,
    params: &[&dyn ToSql],
) -> Result<Option<ObjectVersion>, StoreError> {
    let sql = format!(
        "SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ?1 AND {condition}
         ORDER BY key, sequencer DESC LIMIT 1"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let found = statement.query_row(params, |row| Ok(version_of_row(row))).optional()?.transpose()?;
    Ok(found.map(|(_, version)| version))
}
