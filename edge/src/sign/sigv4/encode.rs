//! The percent-encoding of Signature Version 4: each byte of UTF-8 except `A-Z a-z 0-9 - _ . ~` becomes `%XX` in upper
//! case. A space is `%20`, never `+`.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html#create-signature-presign-entire-payload>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Appends `text`, a query parameter's name or value, percent-encoded.
pub(in crate::sign) fn percent_encode_query(out: &mut String, text: &str) {
    out.extend(utf8_percent_encode(text, QUERY));
}

/// Appends `text`, a path, percent-encoded except for its slashes.
pub(in crate::sign) fn percent_encode_path(out: &mut String, text: &str) {
    out.extend(utf8_percent_encode(text, PATH));
}

/// Whether `text` is a path that can be sent as it is: a leading slash and visible ASCII without `?` and `#`.
pub(in crate::sign) fn is_encoded_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
}
