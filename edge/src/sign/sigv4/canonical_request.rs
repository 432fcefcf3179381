use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::query::QueryWriter;
use super::{RequestParts, SigningError, encode};

/// Where the signature is added. It decides which headers may be signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SignatureLocation {
    QueryParams,
    Headers,
}

/// Headers that the signer sets itself, and headers that proxies change or drop.
const NEVER_SIGNED: [&str; 8] = [
    "authorization",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amzn-trace-id",
];

/// The longest header name that the `http` crate accepts, in bytes.
const MAX_NAME_LENGTH: usize = 65_535;

/// Headers about the signing client. A presigned URL is used by another client.
const NEVER_PRESIGNED: [&str; 2] = ["x-amz-checksum-mode", "x-amz-user-agent"];

/// The headers sorted by lower-case name, including `host`. They borrow from the request: a presigned URL needs no header
/// map, and building one would take longer than signing.
pub(super) struct CanonicalHeaders<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> CanonicalHeaders<'a> {
    pub(super) fn new(request: &RequestParts<'a>, location: SignatureLocation) -> Result<Self, SigningError> {
        let mut headers = Self(Vec::with_capacity(request.headers.len() + 4));
        let host = Some(host(request.origin)?).filter(|host| is_value(host));
        headers.insert(Cow::Borrowed("host"), Cow::Borrowed(host.ok_or(SigningError::InvalidOrigin)?));
        for (name, value) in request.headers {
            let name =
                lower_case(name).ok_or_else(|| SigningError::InvalidHeaderName { name: name.to_string() })?;
            let presigning = location == SignatureLocation::QueryParams;
            if NEVER_SIGNED.contains(&&*name) || presigning && NEVER_PRESIGNED.contains(&&*name) {
                return Err(SigningError::ReservedHeader { name: name.into_owned() });
            }
            if !is_value(value) {
                return Err(SigningError::InvalidHeaderValue { name: name.into_owned() });
            }
            headers.insert(name, Cow::Borrowed(&**value));
        }
        Ok(headers)
    }

    /// Adds a header that the signer sets.
    pub(super) fn push(&mut self, name: &'static str, value: impl Into<Cow<'a, str>>) {
        self.insert(Cow::Borrowed(name), value.into());
    }

    /// Inserts in order of name, after entries of the same name, because the values of a repeated header are joined in
    /// the order in which they are sent. There are few headers; a sort would add more code to the Wasm module.
    fn insert(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        let at = self.0.partition_point(|(other, _)| *other <= name);
        self.0.insert(at, (name, value));
    }

    /// Each name once, in the format of `SignedHeaders`: `content-type;host`.
    pub(super) fn names(&self) -> Cow<'static, str> {
        // `host` is always present.
        if self.0.len() == 1 {
            return Cow::Borrowed("host");
        }
        let mut names = String::with_capacity(self.0.len() * 24);
        for lines in self.0.chunk_by(|(a, _), (b, _)| a == b) {
            if !names.is_empty() {
                names.push(';');
            }
            names.push_str(&lines[0].0);
        }
        Cow::Owned(names)
    }

    /// The headers to send, without `host`.
    pub(super) fn to_header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.0.len() + 4);
        for (name, value) in self.0.iter().filter(|(name, _)| name != "host") {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_str(value);
            // Checked when the header was added.
            map.append(name.expect("a header's name"), value.expect("a header's value"));
        }
        map
    }

    /// Writes a line `name:value` for each name. The values of a repeated header are joined by commas.
    fn write_canonical(&self, out: &mut String) {
        for lines in self.0.chunk_by(|(a, _), (b, _)| a == b) {
            out.push_str(&lines[0].0);
            for (index, (_, value)) in lines.iter().enumerate() {
                out.push(if index == 0 { ':' } else { ',' });
                out.push_str(&normalize_value(value));
            }
            out.push('\n');
        }
    }
}

/// A header's name in lower case; `None` if it is not an HTTP token.
/// <https://www.rfc-editor.org/rfc/rfc9110#name-tokens>
fn lower_case(name: &str) -> Option<Cow<'_, str>> {
    let is_punctuation = |byte: u8| matches!(byte, b'-' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'.' | b'^'..=b'`' | b'|' | b'~');
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || is_punctuation(byte);
    if !(1..=MAX_NAME_LENGTH).contains(&name.len()) || !name.bytes().all(is_token) {
        return None;
    }
    let has_upper_case = name.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if has_upper_case { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

/// Whether `text` is visible ASCII, spaces and tabs. `HeaderValue` alone would also accept other bytes.
fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

/// The value of `Host`: the origin without its scheme.
fn host(origin: &str) -> Result<&str, SigningError> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let is_other = |byte: u8| matches!(byte, b'/' | b'?' | b'#' | b'@' | b' ');
    host.filter(|host| !host.is_empty() && !host.bytes().any(is_other)).ok_or(SigningError::InvalidOrigin)
}

/// Trims spaces and collapses runs of spaces into one. Tabs stay, as in S3's own verification.
fn normalize_value(value: &str) -> Cow<'_, str> {
    let value = value.trim_matches(' ');
    // Searching bytes takes a tenth of the time of a text search.
    if !value.as_bytes().windows(2).any(|pair| pair == b"  ") {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// The canonical request.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request>
pub(super) fn canonical_request(
    method: &Method,
    path: &str,
    query: &QueryWriter,
    headers: &CanonicalHeaders<'_>,
    signed_headers: &str,
    payload: &str,
) -> String {
    let mut text = String::with_capacity(query.len() + 512);
    text.push_str(method.as_str());
    text.push('\n');
    text.push_str(path);
    text.push('\n');
    query.write_canonical(&mut text);
    text.push('\n');
    headers.write_canonical(&mut text);
    text.push('\n');
    text.push_str(signed_headers);
    text.push('\n');
    text.push_str(payload);
    text
}

/// The canonical path for services other than S3: without dot segments and empty segments, then percent-encoded a second
/// time, so that `%` becomes `%25`.
pub(super) fn normalize_uri_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len() + 16);
    for segment in &segments {
        out.push('/');
        encode::percent_encode_query(&mut out, segment);
    }
    if out.is_empty() || ["/", "/.", "/.."].iter().any(|end| path.ends_with(end)) {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_and_values_are_accepted_exactly_when_the_http_crate_accepts_them(text in prop_oneof![".{0,3}", "[!-~]{0,3}", "[\t -~]{0,9}"]) {
            let expected = HeaderName::from_bytes(text.as_bytes()).ok();
            let actual = lower_case(&text);
            prop_assert_eq!(actual.as_deref(), expected.as_ref().map(HeaderName::as_str));
            let expected = HeaderValue::from_str(&text).is_ok() && text.is_ascii();
            prop_assert_eq!(is_value(&text), expected);
        }
    }

    #[test]
    fn a_name_may_be_as_long_as_the_http_crate_allows() {
        for length in [MAX_NAME_LENGTH, MAX_NAME_LENGTH + 1] {
            let name = "a".repeat(length);
            assert_eq!(lower_case(&name).is_some(), HeaderName::from_bytes(name.as_bytes()).is_ok());
        }
    }
}
