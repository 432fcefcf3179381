//! Listing keys in byte order and in pages, with common prefixes if a delimiter is given.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::handle::Store;
use super::object_rows::{IS_CURRENT, OBJECT_COLUMNS, object_of_row};
use super::row::{after_prefix, require_bucket};
use crate::s3::error::StoreError;
use crate::s3::object::ObjectMeta;

/// What to list. An *entry* is a key or, with a delimiter, a common prefix; entries are listed in byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that contain this after the prefix are grouped under a common prefix that ends with it. Must not be empty.
    pub delimiter: Option<String>,
    /// Only entries after this one in byte order.
    pub after: Option<String>,
    /// The largest number of entries.
    pub limit: usize,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects.
    pub objects: Vec<ObjectMeta>,
    /// The common prefixes.
    pub common_prefixes: Vec<String>,
    /// The [`ListRequest::after`] of the next page; `None` on the last page.
    pub next: Option<String>,
}

impl Store {
    /// Lists a page of the current objects of a bucket.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn list(&self, bucket: &str, request: ListRequest) -> Result<Listing, StoreError> {
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

fn list(db: &Connection, bucket: &str, request: &ListRequest) -> Result<Listing, StoreError> {
    let mut listing = Listing::default();
    if request.limit == 0 {
        return Ok(listing);
    }
    let mut last: Option<String> = None;
    let mut from = start(request);
    while let Some(bound) = from {
        let Some(object) = first_at(db, bucket, &bound, request)? else { break };
        if listing.objects.len() + listing.common_prefixes.len() == request.limit {
            listing.next = last;
            break;
        }
        if let Some(common) = common_prefix(&object.key, &request.prefix, request.delimiter.as_deref()) {
            from = after_prefix(common).map(Bound::From);
            last = Some(common.to_owned());
            listing.common_prefixes.push(common.to_owned());
        } else {
            from = Some(Bound::After(object.key.clone()));
            last = Some(object.key.clone());
            listing.objects.push(object);
        }
    }
    Ok(listing)
}

/// The lower bound of the next key.
enum Bound {
    /// At or after this string.
    From(String),
    /// After this string.
    After(String),
}

/// The lower bound of the first key; `None` if no key can match.
fn start(request: &ListRequest) -> Option<Bound> {
    let Some(after) = request.after.as_ref().filter(|after| **after >= request.prefix) else {
        return Some(Bound::From(request.prefix.clone()));
    };
    // A common prefix is one entry: after one of its keys the next entry is after all of them.
    match common_prefix(after, &request.prefix, request.delimiter.as_deref()) {
        Some(common) => after_prefix(common).map(Bound::From),
        None => Some(Bound::After(after.clone())),
    }
}

/// The common prefix that a key is grouped under, if any.
pub(super) fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: Option<&str>) -> Option<&'a str> {
    let delimiter = delimiter?;
    let rest = key.strip_prefix(prefix)?;
    let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
    Some(&key[..end])
}

/// The first object from the bound on whose key begins with the prefix.
fn first_at(
    db: &Connection,
    bucket: &str,
    bound: &Bound,
    request: &ListRequest,
) -> Result<Option<ObjectMeta>, StoreError> {
    let (comparison, bound) = match bound {
        Bound::From(bound) => (">=", bound),
        Bound::After(bound) => (">", bound),
    };
    let sql = format!(
        "SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ?1 AND key {comparison} ?2 AND {IS_CURRENT}
         ORDER BY key LIMIT 1"
    );
    let found = db
        .prepare_cached(&sql)?
        .query_row(params![bucket, bound], |row| Ok(object_of_row(row)))
        .optional()?
        .transpose()?;
    Ok(found.map(|(_, object)| object).filter(|object| object.key.starts_with(&request.prefix)))
}
