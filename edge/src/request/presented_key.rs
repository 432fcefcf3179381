//! The API key as a request presents it: in `x-api-key`, or as a Bearer token (RFC 6750).

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use streamio_events::api_key::{ApiKey, InvalidApiKey};

use super::headers::API_KEY_HEADER;

/// Why a request presents no API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoApiKey {
    /// In neither header. An `Authorization` of another scheme counts as none: a proxy may have added it.
    Missing,
    /// In both headers, and not the same.
    Different,
    /// A text that is no API key.
    Malformed(&'static HeaderName),
    /// A key with a wrong checksum.
    Checksum(&'static HeaderName),
}

/// Carries an API key.
pub(crate) static KEY_HEADER: HeaderName = API_KEY_HEADER;
/// Carries an API key as a Bearer token.
pub(crate) static BEARER_HEADER: HeaderName = AUTHORIZATION;
const SCHEME: &[u8] = b"bearer";

/// The API key, if it is well-formed.
pub(crate) fn api_key(headers: &HeaderMap) -> Result<ApiKey, NoApiKey> {
    let (value, header) = match (own_value(headers), bearer_token(headers)) {
        (Some(value), None) => (value, &KEY_HEADER),
        (None, Some(token)) => (token, &BEARER_HEADER),
        (Some(value), Some(token)) if value == token => (value, &KEY_HEADER),
        (Some(_), Some(_)) => return Err(NoApiKey::Different),
        (None, None) => return Err(NoApiKey::Missing),
    };
    let text = std::str::from_utf8(value).map_err(|_| NoApiKey::Malformed(header))?;
    text.parse().map_err(|error| match error {
        InvalidApiKey::Malformed => NoApiKey::Malformed(header),
        InvalidApiKey::Checksum => NoApiKey::Checksum(header),
    })
}

/// What was sent as API key in each of the headers, valid or not: texts that no response or log may contain.
pub(crate) fn presented_keys(headers: &HeaderMap) -> [Option<&str>; 2] {
    let own = headers.get(API_KEY_HEADER).map(http::HeaderValue::as_bytes);
    [own, bearer_token(headers)].map(|value| value.and_then(|bytes| std::str::from_utf8(bytes).ok()))
}

/// The value of `x-api-key`; empty, which is no key, if there are several.
fn own_value(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(&KEY_HEADER).iter();
    let first = values.next()?.as_bytes();
    Some(if values.next().is_none() { first } else { b"" })
}

/// The token of `Authorization: Bearer`; empty, which is no key, if the first of several headers has that scheme. A server in
/// front may have joined them, and then only the first scheme is visible.
fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(&BEARER_HEADER).iter();
    let (scheme, token) = values.next()?.as_bytes().split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) || token.first().is_some_and(|byte| *byte != b' ') {
        return None;
    }
    Some(if values.next().is_none() { token.trim_ascii() } else { b"" })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(fields: &[(&'static str, &str)]) -> Result<String, NoApiKey> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        api_key(&headers).map(|key| key.reveal().to_owned())
    }

    #[test]
    fn a_key_is_read_from_either_header_and_from_both_if_they_agree() {
        let key = ApiKey::generate("live", [7; 32]).unwrap();
        let key = key.reveal();
        let other = ApiKey::generate("live", [8; 32]).unwrap();
        let bearer = format!("Bearer {key}");
        let other = format!("bearer {}", other.reveal());
        assert_eq!(read(&[("x-api-key", key)]).as_deref(), Ok(key));
        assert_eq!(read(&[("authorization", &bearer)]).as_deref(), Ok(key));
        assert_eq!(read(&[("authorization", &format!("BEARER   {key} "))]).as_deref(), Ok(key));
        assert_eq!(read(&[("x-api-key", key), ("authorization", &bearer)]).as_deref(), Ok(key));
        assert_eq!(read(&[("x-api-key", key), ("authorization", "Basic dTpw")]).as_deref(), Ok(key));
        for different in [&*other, "Bearer", "Bearer x"] {
            assert_eq!(read(&[("x-api-key", key), ("authorization", different)]), Err(NoApiKey::Different));
        }
    }

    #[test]
    fn anything_else_is_no_key_and_the_header_at_fault_is_known() {
        let key = ApiKey::generate("live", [7; 32]).unwrap();
        let key = key.reveal();
        let joined = format!("Bearer {key}, Bearer {key}");
        for refused in ["Bearer", "Bearer ", "Bearer sio_live_x", &joined] {
            assert_eq!(
                read(&[("authorization", refused)]),
                Err(NoApiKey::Malformed(&BEARER_HEADER)),
                "{refused}"
            );
        }
        let bearer = format!("Bearer {key}");
        let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
        assert_eq!(read(&twice), Err(NoApiKey::Malformed(&BEARER_HEADER)));
        assert_eq!(read(&[("x-api-key", key), ("x-api-key", key)]), Err(NoApiKey::Malformed(&KEY_HEADER)));
        for absent in ["", "Basic dTpw", key, "Bearers x", "Bear"] {
            assert_eq!(read(&[("authorization", absent)]), Err(NoApiKey::Missing), "{absent}");
        }
        let mistyped = format!("Bearer {}", key.replacen("live", "test", 1));
        assert_eq!(read(&[("authorization", &mistyped)]), Err(NoApiKey::Checksum(&BEARER_HEADER)));
    }
}
