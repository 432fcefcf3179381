use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::query::QueryWriter;
use super::{RequestParts, SigningError, encode};

/// Where the signature will stand: it decides which headers may be signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    Query,
    Headers,
}

/// Headers that the signer sets itself, and such as proxies change or drop on the way.
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

/// The longest name that the `http` crate takes, in bytes.
const LONGEST_NAME: usize = 65_535;

/// Headers about the client, which is another one when a presigned URL is used.
const NEVER_PRESIGNED: [&str; 2] = ["x-amz-checksum-mode", "x-amz-user-agent"];

/// Headers by name in lower case, `host` among them. They borrow from the request: a presigned URL needs no header
/// map, and building one would take longer than the signature.
pub(super) struct CanonicalHeaders<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> CanonicalHeaders<'a> {
    pub(super) fn new(request: &RequestParts<'a>, placement: Placement) -> Result<Self, SigningError> {
        let mut headers = Self(Vec::with_capacity(request.headers.len() + 4));
        let host = Some(host(request.origin)?).filter(|host| is_value(host));
        headers.insert(Cow::Borrowed("host"), Cow::Borrowed(host.ok_or(SigningError::InvalidOrigin)?));
        for (name, value) in request.headers {
            let name =
                lower_case(name).ok_or_else(|| SigningError::InvalidHeaderName { name: name.to_string() })?;
            let presigning = placement == Placement::Query;
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

    /// Adds a header of the signature itself.
    pub(super) fn push(&mut self, name: &'static str, value: impl Into<Cow<'a, str>>) {
        self.insert(Cow::Borrowed(name), value.into());
    }

    /// In order, and after those of the same name, because the values of a repeated header are joined in the order in
    /// which they are sent. There are few: the code of a sort would be longer than all of this.
    fn insert(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        let at = self.0.partition_point(|(other, _)| *other <= name);
        self.0.insert(at, (name, value));
    }

    /// Every name once, as in `SignedHeaders`: `content-type;host`.
    pub(super) fn names(&self) -> Cow<'static, str> {
        // `host` is always there.
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

    /// `name:value` and a line feed for each name; repeated ones in one line, joined by commas.
    fn write_canonical(&self, out: &mut String) {
        for lines in self.0.chunk_by(|(a, _), (b, _)| a == b) {
            out.push_str(&lines[0].0);
            for (index, (_, value)) in lines.iter().enumerate() {
                out.push(if index == 0 { ':' } else { ',' });
                out.push_str(&trimmed(value));
            }
            out.push('\n');
        }
    }
}

/// The name of a header in lower case, or nothing where it is no token of HTTP.
/// <https://www.rfc-editor.org/rfc/rfc9110#name-tokens>
fn lower_case(name: &str) -> Option<Cow<'_, str>> {
    let is_punctuation = |byte: u8| matches!(byte, b'-' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'.' | b'^'..=b'`' | b'|' | b'~');
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || is_punctuation(byte);
    if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(is_token) {
        return None;
    }
    let has_upper_case = name.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if has_upper_case { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

/// Visible ASCII, spaces and tabs; a `HeaderValue` alone would also take other text as bytes.
fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

/// The value of `Host`, which is the origin without its scheme.
fn host(origin: &str) -> Result<&str, SigningError> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let is_other = |byte: u8| matches!(byte, b'/' | b'?' | b'#' | b'@' | b' ');
    host.filter(|host| !host.is_empty() && !host.bytes().any(is_other)).ok_or(SigningError::InvalidOrigin)
}

/// Spaces around the value removed, runs of spaces inside it made one. Tabs stay: S3 leaves them, too.
fn trimmed(value: &str) -> Cow<'_, str> {
    let value = value.trim_matches(' ');
    // Over bytes, which takes a tenth of a search for text.
    if !value.as_bytes().windows(2).any(|pair| pair == b"  ") {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

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

/// The path of services other than S3: without dot segments and empty segments, then encoded a second time, so
/// that a `%` of the first encoding becomes `%25`.
pub(super) fn normalized_and_encoded(path: &str) -> String {
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
        encode::component(&mut out, segment);
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
        fn names_and_values_are_those_that_the_http_crate_takes(text in prop_oneof![".{0,3}", "[!-~]{0,3}", "[\t -~]{0,9}"]) {
            let theirs = HeaderName::from_bytes(text.as_bytes()).ok();
            let ours = lower_case(&text);
            prop_assert_eq!(ours.as_deref(), theirs.as_ref().map(HeaderName::as_str));
            let theirs = HeaderValue::from_str(&text).is_ok() && text.is_ascii();
            prop_assert_eq!(is_value(&text), theirs);
        }
    }

    #[test]
    fn a_name_may_be_as_long_as_the_http_crate_allows() {
        for length in [LONGEST_NAME, LONGEST_NAME + 1] {
            let name = "a".repeat(length);
            assert_eq!(lower_case(&name).is_some(), HeaderName::from_bytes(name.as_bytes()).is_ok());
        }
    }
}
