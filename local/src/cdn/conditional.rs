//! Conditional requests: <https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests>.
//!
//! All entity tags of the CDN are strong. The strong comparison is therefore text equality; the weak comparison also
//! ignores a `W/` before the viewer's tag.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    AsHeaderName, HeaderMap, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};

/// The validators of a representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// The strong entity tag, with its quotation marks.
    pub(super) etag: String,
    /// When the representation last changed, in whole seconds.
    pub(super) last_modified: SystemTime,
}

/// The result of evaluating a request's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// They hold.
    Holds,
    /// The viewer already has this representation: 304.
    NotModified,
    /// The viewer requires another representation: 412.
    Failed,
}

impl Validators {
    /// The validators of a representation with this entity tag (without quotation marks), last changed at this time.
    pub(super) fn new(etag: &str, last_modified: SystemTime) -> Self {
        let seconds = last_modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { etag: format!("\"{etag}\""), last_modified: UNIX_EPOCH + Duration::from_secs(seconds) }
    }

    /// Evaluates the conditions of a GET or HEAD, in the order of the RFC.
    pub(super) fn evaluate(&self, headers: &HeaderMap) -> Condition {
        if headers.contains_key(IF_MATCH) {
            if !self.is_listed(headers, IF_MATCH, false) {
                return Condition::Failed;
            }
        } else if date(headers, IF_UNMODIFIED_SINCE).is_some_and(|since| self.last_modified > since) {
            return Condition::Failed;
        }
        let unchanged = if headers.contains_key(IF_NONE_MATCH) {
            self.is_listed(headers, IF_NONE_MATCH, true)
        } else {
            date(headers, IF_MODIFIED_SINCE).is_some_and(|since| self.last_modified <= since)
        };
        if unchanged { Condition::NotModified } else { Condition::Holds }
    }

    /// Whether the `Range` header applies at `now`: there is no `If-Range`, or it identifies this representation. A
    /// date identifies it only from one second after the change on, because it could change again within the same
    /// second.
    pub(super) fn range_applies(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        match single_value(headers, IF_RANGE) {
            None => !headers.contains_key(IF_RANGE),
            Some(value) if value.ends_with('"') => value == self.etag,
            Some(value) => httpdate::parse_http_date(value).is_ok_and(|date| {
                date == self.last_modified && self.last_modified + Duration::from_secs(1) <= now
            }),
        }
    }

    /// Whether a list of entity tags contains the entity tag or is `*`.
    fn is_listed(&self, headers: &HeaderMap, name: http::HeaderName, weak: bool) -> bool {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|list| {
            list.trim() == "*"
                || tags(list)
                    .any(|tag| tag == self.etag || (weak && tag.strip_prefix("W/") == Some(&self.etag)))
        })
    }
}

/// The entity tags of a list, up to the first malformed one.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let opening = if rest.starts_with("W/\"") { 3 } else { usize::from(rest.starts_with('"')) };
        let closing = rest.get(opening..).filter(|_| opening > 0)?.find('"')?;
        let (tag, after) = rest.split_at(opening + closing + 1);
        rest = after;
        Some(tag)
    })
}

/// The date of a header with a single value; `None` for anything else, which is to be ignored.
fn date(headers: &HeaderMap, name: http::HeaderName) -> Option<SystemTime> {
    single_value(headers, name).and_then(|value| httpdate::parse_http_date(value).ok())
}

/// The value of a header that occurs exactly once and is text.
pub(super) fn single_value(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators() -> Validators {
        Validators::new("a,b", at(CHANGED) + Duration::from_millis(750))
    }

    fn at(date: &str) -> SystemTime {
        httpdate::parse_http_date(date).unwrap()
    }

    fn evaluate(headers: &[(HeaderName, &str)]) -> Condition {
        validators().evaluate(&map(headers))
    }

    fn map(headers: &[(HeaderName, &str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn without_conditions_the_object_is_sent() {
        assert_eq!(evaluate(&[]), Condition::Holds);
    }

    #[test]
    fn if_none_match_is_not_modified_for_the_same_tag_weak_or_strong() {
        for list in ["\"a,b\"", "W/\"a,b\"", "\"x\", \"a,b\"", "\"x\",W/\"a,b\" ", "*", ", \"a,b\""] {
            assert_eq!(evaluate(&[(IF_NONE_MATCH, list)]), Condition::NotModified, "{list}");
        }
        for list in ["\"x\"", "\"a\", \"b\"", "a,b", "\"a,b", "\"a b\"", "", "\"x\" y \"a,b\"", "w/\"a,b\""] {
            assert_eq!(evaluate(&[(IF_NONE_MATCH, list)]), Condition::Holds, "{list}");
        }
        let mut twice = map(&[(IF_NONE_MATCH, "\"x\"")]);
        twice.append(IF_NONE_MATCH, HeaderValue::from_static("\"a,b\""));
        assert_eq!(validators().evaluate(&twice), Condition::NotModified);
    }

    #[test]
    fn if_match_fails_for_other_and_for_weak_tags() {
        for list in ["\"a,b\"", "\"x\", \"a,b\"", "*"] {
            assert_eq!(evaluate(&[(IF_MATCH, list)]), Condition::Holds, "{list}");
        }
        for list in ["\"x\"", "W/\"a,b\"", "a,b", ""] {
            assert_eq!(evaluate(&[(IF_MATCH, list)]), Condition::Failed, "{list}");
        }
    }

    #[test]
    fn dates_are_compared_in_whole_seconds() {
        assert_eq!(evaluate(&[(IF_MODIFIED_SINCE, BEFORE)]), Condition::Holds);
        assert_eq!(evaluate(&[(IF_MODIFIED_SINCE, CHANGED)]), Condition::NotModified);
        assert_eq!(evaluate(&[(IF_MODIFIED_SINCE, AFTER)]), Condition::NotModified);
        assert_eq!(evaluate(&[(IF_UNMODIFIED_SINCE, BEFORE)]), Condition::Failed);
        assert_eq!(evaluate(&[(IF_UNMODIFIED_SINCE, CHANGED)]), Condition::Holds);
        assert_eq!(evaluate(&[(IF_MODIFIED_SINCE, "yesterday")]), Condition::Holds);
        assert_eq!(evaluate(&[(IF_UNMODIFIED_SINCE, "yesterday")]), Condition::Holds);
    }

    #[test]
    fn an_entity_tag_has_precedence_over_a_date() {
        assert_eq!(evaluate(&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, AFTER)]), Condition::Holds);
        assert_eq!(evaluate(&[(IF_MATCH, "\"a,b\""), (IF_UNMODIFIED_SINCE, BEFORE)]), Condition::Holds);
        assert_eq!(evaluate(&[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, "\"a,b\"")]), Condition::Failed);
    }

    #[test]
    fn if_range_applies_only_to_exactly_this_representation() {
        let applies =
            |value: &str, now: &str| validators().range_applies(&map(&[(IF_RANGE, value)]), at(now));
        assert!(validators().range_applies(&HeaderMap::new(), at(CHANGED)));
        assert!(applies("\"a,b\"", CHANGED));
        assert!(applies(CHANGED, AFTER));
        assert!(!applies(CHANGED, CHANGED), "it could change again within the second");
        for other in ["W/\"a,b\"", "\"x\"", BEFORE, AFTER, "a,b", ""] {
            assert!(!applies(other, AFTER), "{other}");
        }
        let mut twice = map(&[(IF_RANGE, "\"a,b\"")]);
        twice.append(IF_RANGE, HeaderValue::from_static("\"a,b\""));
        assert!(!validators().range_applies(&twice, at(AFTER)));
    }
}
