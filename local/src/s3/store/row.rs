//! Conversions between Rust values and column values, and queries that several modules need.

use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::s3::error::StoreError;
use crate::s3::version::Versioning;

/// Converts a size or count to SQLite's signed integer.
pub(super) fn to_i64(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::TooLarge { size: value })
}

pub(super) fn to_u64(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Damaged { what: format!("a size of {value}") })
}

/// Converts a time to milliseconds since the Unix epoch, as times are stored.
pub(super) fn millis(time: OffsetDateTime) -> i64 {
    time.unix_timestamp() * 1000 + i64::from(time.millisecond())
}

pub(super) fn time_of(millis: i64) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .map_err(|_| StoreError::Damaged { what: format!("a time of {millis} ms") })
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged { what: error.to_string() })
}

pub(super) fn from_json<T: DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Damaged { what: error.to_string() })
}

/// What the settings of a bucket demand of a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct BucketSettings {
    /// Whether writes create event notifications.
    pub(super) watched: bool,
    pub(super) versioning: Versioning,
}

/// Checks that a bucket exists. Returns its settings.
///
/// # Errors
/// [`StoreError::NoSuchBucket`].
pub(super) fn require_bucket(db: &Connection, bucket: &str) -> Result<BucketSettings, StoreError> {
    let (watched, versioning) = db
        .prepare_cached("SELECT watched, versioning FROM buckets WHERE name = ?1")?
        .query_row([bucket], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or_else(|| StoreError::NoSuchBucket { bucket: bucket.to_owned() })?;
    Ok(BucketSettings { watched, versioning: versioning_of(versioning)? })
}

/// Converts a versioning state to its column value.
pub(super) fn versioning_column(versioning: Versioning) -> i64 {
    match versioning {
        Versioning::Off => 0,
        Versioning::Enabled => 1,
        Versioning::Suspended => 2,
    }
}

pub(super) fn versioning_of(column: i64) -> Result<Versioning, StoreError> {
    [Versioning::Off, Versioning::Enabled, Versioning::Suspended]
        .into_iter()
        .find(|versioning| versioning_column(*versioning) == column)
        .ok_or_else(|| StoreError::Damaged { what: format!("a versioning state of {column}") })
}

/// The smallest string greater than every string that begins with `prefix`, in byte order; `None` if there is none.
/// UTF-8 bytes sort like code points, so it is the prefix with its last character replaced by the next one.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut bound = prefix.to_owned();
    while let Some(last) = bound.pop() {
        // The range type skips the surrogates between U+D7FF and U+E000, which are not characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            bound.push(next);
            return Some(bound);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bound_after_a_prefix_skips_surrogates_and_carries() {
        assert_eq!(after_prefix("a/").as_deref(), Some("a0"));
        assert_eq!(after_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }

    proptest! {
        #[test]
        fn a_string_is_below_the_bound_if_and_only_if_it_begins_with_the_prefix_or_is_less(
            prefix in "\\PC{0,3}", text in "\\PC{0,5}"
        ) {
            if let Some(bound) = after_prefix(&prefix) {
                prop_assert_eq!(text < bound, text.starts_with(&prefix) || text < prefix);
            }
        }

        #[test]
        fn times_keep_their_milliseconds(value in -10_000_000_000_i64..10_000_000_000_000) {
            prop_assert_eq!(millis(time_of(value).unwrap()), value);
        }
    }
}
