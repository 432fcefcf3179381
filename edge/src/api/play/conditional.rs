//! The entity tag of a rewritten playlist, and requests that are conditional on it.
//! <https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests>

use bytes::Bytes;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response};
use sha2::{Digest as _, Sha256};

/// The version of the rewriting. Raise it when the same playlist gets another text, so that no cache keeps the old one.
const VERSION: &[u8] = b"1";

/// The entity tag of what `source`, a response of the CDN, becomes for a viewer: a digest of its content and of everything that is
/// written into it. The CDN's strong entity tag stands for the content where there is one.
pub(super) fn entity_tag(source: &Response<Bytes>, written: [&str; 3]) -> HeaderValue {
    let mut digest = Sha256::new_with_prefix(VERSION);
    let strong = source
        .headers()
        .get(ETAG)
        .map(HeaderValue::as_bytes)
        .filter(|tag| tag.starts_with(b"\"") && tag.len() > 2);
    let content = strong.unwrap_or(source.body());
    for part in written.map(str::as_bytes).into_iter().chain([content]) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let tag = base16ct::lower::encode_string(&digest.finalize()[..16]);
    HeaderValue::from_str(&["\"", &tag, "\""].concat()).expect("hexadecimal digits in quotation marks")
}

/// Whether the client has the representation with this entity tag already.
pub(super) fn is_current(request: &HeaderMap, etag: &HeaderValue) -> bool {
    request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| {
        // Our tags have no comma, so a list is split correctly as far as it matters.
        list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(etag: Option<&'static str>, body: &'static str, written: [&str; 3]) -> HeaderValue {
        let mut response = Response::new(Bytes::from(body));
        if let Some(etag) = etag {
            response.headers_mut().insert(ETAG, HeaderValue::from_static(etag));
        }
        entity_tag(&response, written)
    }

    #[test]
    fn the_tag_differs_with_the_content_and_with_everything_that_is_written() {
        let all = [
            tag(None, "a", ["u", "p", "q"]),
            tag(None, "b", ["u", "p", "q"]),
            tag(None, "a", ["u", "p", "r"]),
            tag(None, "a", ["u", "q", "p"]),
            tag(None, "a", ["up", "", "q"]),
            tag(Some("\"1\""), "a", ["u", "p", "q"]),
            tag(Some("\"2\""), "a", ["u", "p", "q"]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
        assert_eq!(tag(Some("\"1\""), "a", ["u", "p", "q"]), tag(Some("\"1\""), "b", ["u", "p", "q"]));
        for weak in ["W/\"1\"", "", "\"\"", "1"] {
            assert_eq!(tag(Some(weak), "a", ["u", "p", "q"]), all[0], "{weak}");
        }
    }

    #[test]
    fn a_listed_tag_is_current() {
        let etag = HeaderValue::from_static("\"ab\"");
        let current = |list: &'static str| {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, HeaderValue::from_static(list));
            is_current(&request, &etag)
        };
        for list in ["\"ab\"", "W/\"ab\"", "\"x\", \"ab\"", "\"x\",W/\"ab\" ", "*"] {
            assert!(current(list), "{list}");
        }
        for list in ["", "\"x\"", "ab", "\"abc\"", "\"a\"b\""] {
            assert!(!current(list), "{list}");
        }
        assert!(!is_current(&HeaderMap::new(), &etag));
    }
}
