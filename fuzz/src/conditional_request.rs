//! Conditional requests to the CDN, and the paths of URLs.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderValue};
use streamio_local::cdn::testing::{evaluate_conditions, key_of};

use crate::text;

/// The entity tag of the object.
const ETAG: &str = "a,b";

/// Conditions that are well-formed lists of entity tags are evaluated as RFC 9110 states. The lines are `If-Match`, `If-None-Match`,
/// `If-Modified-Since`, `If-Unmodified-Since`, `If-Range`; the rest is a path.
pub fn check(data: &[u8]) {
    let (values, path) = text::lines::<5>(data);
    let names = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];
    let mut headers = HeaderMap::new();
    for (name, value) in names.into_iter().zip(values) {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_bytes(value)) {
            headers.insert(name, value);
        }
    }
    let changed = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let (status, range_applies) =
        evaluate_conditions(&headers, ETAG, changed, changed + Duration::from_hours(1));
    let required = tags(headers.get(IF_MATCH));
    let excluded = tags(headers.get(IF_NONE_MATCH));
    if let (Some(required), Some(excluded)) = (required, excluded) {
        let has_required =
            required.as_ref().map(|tags| tags.iter().any(|tag| tag == "*" || tag == "\"a,b\""));
        let has_excluded = excluded.as_ref().map(|tags| {
            tags.iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == "\"a,b\"")
        });
        if has_required == Some(false) {
            assert_eq!(status, 412, "{headers:?}");
        } else if has_required.is_some() || !headers.contains_key(IF_UNMODIFIED_SINCE) {
            match has_excluded {
                Some(true) => assert_eq!(status, 304, "{headers:?}"),
                Some(false) => assert_eq!(status, 200, "{headers:?}"),
                None => assert!([200, 304].contains(&status), "{headers:?}"),
            }
        }
    }
    if let Some(value) = headers.get(IF_RANGE) {
        let is_date = value.to_str().is_ok_and(|text| !text.ends_with('"'));
        assert!(!range_applies || is_date || value == "\"a,b\"", "{value:?}");
    } else {
        assert!(range_applies);
    }
    check_path(path);
}

/// The entity tags of a list, or none without the header. `None` if it is not a list of them.
#[expect(clippy::option_option, reason = "a header that is absent is well-formed")]
fn tags(value: Option<&HeaderValue>) -> Option<Option<Vec<String>>> {
    let Some(value) = value else { return Some(None) };
    let text = value.to_str().ok()?;
    if text == "*" {
        return Some(Some(vec!["*".to_owned()]));
    }
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let weak = if rest.starts_with("W/") { 2 } else { 0 };
        let opaque = rest[weak..].strip_prefix('"')?;
        let length = opaque.find('"')?;
        // RFC 9110, section 8.8.3: no white space and no control characters.
        if !opaque[..length].bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        found.push(rest[..weak + length + 2].to_owned());
        rest = &rest[weak + length + 2..];
        match rest.strip_prefix(", ") {
            Some(next) => rest = next,
            None => return rest.is_empty().then_some(Some(found)),
        }
    }
}

/// The key of a path is decoded once: encoded again, it is the same key.
fn check_path(path: &[u8]) {
    let Some(path) = text::of(path) else { return };
    let Some(key) = key_of(path) else { return };
    let encoded = percent_encoding::utf8_percent_encode(&key, percent_encoding::NON_ALPHANUMERIC);
    assert_eq!(key_of(&format!("/{encoded}")).as_ref(), Some(&key));
    assert!(key.len() < path.len());
}
