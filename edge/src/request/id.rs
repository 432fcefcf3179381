use base32ct::{Base32Unpadded, Encoding as _};
use http::HeaderMap;

use super::headers::REQUEST_ID_HEADER;
use super::presented_key::presented_keys;

/// The id of one request, for correlating the client's log with the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// The client's id, if it was sent exactly once and is 1 to 128 characters of `A-Z a-z 0-9 . _ -`; otherwise an id made
    /// from `random`.
    pub(crate) fn new(headers: &HeaderMap, random: [u8; 32]) -> Self {
        let mut values = headers.get_all(REQUEST_ID_HEADER).iter();
        let single = values.next().filter(|_| values.next().is_none());
        let valid = single.and_then(|value| value.to_str().ok()).filter(|id| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            (1..=128).contains(&id.len()) && id.bytes().all(plain)
        });
        // The id is logged, so it must not contain the API key.
        let reveals = |id: &str| {
            presented_keys(headers).into_iter().flatten().any(|key| !key.is_empty() && id.contains(key))
        };
        match valid.filter(|id| !reveals(id)) {
            Some(id) => Self(id.to_owned()),
            None => Self(["req_", &Base32Unpadded::encode_string(&random[..16])].concat()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn id_for(sent: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_static("sio_live_key"));
        headers.insert(REQUEST_ID_HEADER, HeaderValue::from_bytes(sent).unwrap());
        RequestId::new(&headers, [0; 32]).0
    }

    #[test]
    fn a_valid_client_id_is_kept_and_any_other_is_replaced() {
        assert_eq!(id_for(b"trace-1.A_b"), "trace-1.A_b");
        let generated = "req_aaaaaaaaaaaaaaaaaaaaaaaaaa";
        for refused in [&b""[..], b"a b", b"\xff", b"a\"b", &[b'a'; 129], b"x-sio_live_key"] {
            assert_eq!(id_for(refused), generated, "{refused:?}");
        }
        assert_eq!(RequestId::new(&HeaderMap::new(), [0; 32]).as_str(), generated);
        let mut twice = HeaderMap::new();
        twice.append(REQUEST_ID_HEADER, HeaderValue::from_static("one"));
        twice.append(REQUEST_ID_HEADER, HeaderValue::from_static("other"));
        assert_eq!(RequestId::new(&twice, [0; 32]).as_str(), generated);
    }
}
