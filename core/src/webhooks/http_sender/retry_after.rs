//! The header `Retry-After` (RFC 9110, section 10.2.3).

use std::time::SystemTime;

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The pause that an answer asks for, in seconds, rounded up: stated in seconds, or as a date, which is taken relative to `now` and is 0 if
/// it is past. A number that is too large is the largest. `None` without the header and for a value that is neither.
pub(super) fn seconds(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(u64::MAX));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let pause = until.duration_since(now).unwrap_or_default();
    Some(pause.as_secs() + u64::from(pause.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(value: &str, now: SystemTime) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        seconds(&headers, now)
    }

    #[test]
    fn seconds_and_dates_are_read_and_anything_else_is_ignored() {
        // 2026-01-02T03:04:05Z.
        let now = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Fri, 02 Jan 2026 03:06:05 GMT", Some(120)),
            ("Friday, 02-Jan-26 03:06:05 GMT", Some(120)),
            ("Fri Jan  2 03:06:05 2026", Some(120)),
            ("Fri, 02 Jan 2026 03:04:04 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Fri, 32 Jan 2026 03:06:05 GMT", None),
        ] {
            assert_eq!(of(value, now), expected, "{value:?}");
        }
        assert_eq!(of("Fri, 02 Jan 2026 03:06:05 GMT", now + Duration::from_millis(1)), Some(120));
        assert_eq!(seconds(&HeaderMap::new(), now), None);
    }

    proptest! {
        #[test]
        fn a_date_is_the_pause_until_then(now in 0..4_000_000_000_u64, pause in 0..1_000_000_u64) {
            let now = UNIX_EPOCH + Duration::from_secs(now);
            let date = httpdate::fmt_http_date(now + Duration::from_secs(pause));
            prop_assert_eq!(of(&date, now), Some(pause));
        }

        #[test]
        fn any_header_is_read_without_a_panic(value in "[ -~]{0,40}") {
            let _ = of(&value, UNIX_EPOCH);
        }
    }
}
