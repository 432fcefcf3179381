//! The parsers of request headers and paths, for fuzzing. Feature `testing`.

use std::ops::Range;
use std::time::SystemTime;

use http::HeaderMap;

use super::conditional::{Condition, Validators};
use super::{object_path, range};

/// What a `Range` header requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedRange {
    /// Everything: the header is ignored.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// No byte of the representation.
    Unsatisfiable,
}

/// What `header` requests of `size` bytes.
pub fn requested_range(header: &str, size: u64) -> RequestedRange {
    match range::requested_range(header, size) {
        range::RequestedRange::Whole => RequestedRange::Whole,
        range::RequestedRange::Part(part) => RequestedRange::Part(part),
        range::RequestedRange::Unsatisfiable => RequestedRange::Unsatisfiable,
    }
}

/// The status that the conditions of a request lead to, and whether its `Range` header applies.
pub fn evaluate_conditions(
    headers: &HeaderMap,
    etag: &str,
    last_modified: SystemTime,
    now: SystemTime,
) -> (u16, bool) {
    let validators = Validators::new(etag, last_modified);
    let status = match validators.evaluate(headers) {
        Condition::Holds => 200,
        Condition::NotModified => 304,
        Condition::Failed => 412,
    };
    (status, validators.range_applies(headers, now))
}

/// The key that the path of a URL names; `None` if it names none.
pub fn key_of(path: &str) -> Option<String> {
    object_path::key_of(path).ok()
}
