//! Between Rust values and what the tables hold.

use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::s3::error::StoreError;

/// Sizes and counts are kept as SQLite's signed integers.
pub(super) fn to_i64(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::TooLarge)
}

pub(super) fn to_u64(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Damaged { what: format!("a size of {value}") })
}

/// Times are kept as milliseconds since the Unix epoch.
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

/// Whether the bucket's writes leave notices.
///
/// # Errors
/// [`StoreError::NoSuchBucket`].
pub(super) fn require_bucket(db: &Connection, bucket: &str) -> Result<bool, StoreError> {
    db.prepare_cached("SELECT watched FROM buckets WHERE name = ?1")?
        .query_row([bucket], |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::NoSuchBucket { bucket: bucket.to_owned() })
}

/// The least string greater than every string that begins with `prefix`, in byte order; `None` if there is none.
/// The order of UTF-8 bytes is the order of code points, so it is the prefix with its last character raised.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut bound = prefix.to_owned();
    while let Some(last) = bound.pop() {
        // The surrogates between U+D7FF and U+E000 are no characters; the range type knows.
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
        fn a_string_is_below_the_bound_exactly_when_it_begins_with_the_prefix_or_is_less(
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
