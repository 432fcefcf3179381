//! The percent-encoding of Signature Version 4: everything but `A-Z a-z 0-9 - _ . ~` becomes `%XX` in upper
//! case, byte by byte of UTF-8; a space is `%20`, never `+`.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html#create-signature-presign-entire-payload>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &COMPONENT.remove(b'/');

/// Appends a name or value of a query.
pub(in crate::sign) fn component(out: &mut String, text: &str) {
    out.extend(utf8_percent_encode(text, COMPONENT));
}

/// Appends a path, whose slashes stay.
pub(in crate::sign) fn path(out: &mut String, text: &str) {
    out.extend(utf8_percent_encode(text, PATH));
}

/// Whether `text` comes out of [`path`] as it went in, but for `%XX` that it already holds.
pub(in crate::sign) fn is_encoded_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
}
