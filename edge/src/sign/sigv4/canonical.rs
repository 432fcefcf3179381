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

/// Headers about the client, which is another one when a presigned URL is used.
const NEVER_PRESIGNED: [&str; 2] = ["x-amz-checksum-mode", "x-amz-user-agent"];

/// Headers by name, `host` among them.
pub(super) struct CanonicalHeaders(Vec<(HeaderName, HeaderValue)>);

impl CanonicalHeaders {
    pub(super) fn new(request: &RequestParts<'_>, placement: Placement) -> Result<Self, SigningError> {
        let mut headers = Vec::with_capacity(request.headers.len() + 4);
        let host = ascii(host(request.origin)?).ok_or(SigningError::InvalidOrigin)?;
        headers.push((http::header::HOST, host));
        for (name, value) in request.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| SigningError::InvalidHeaderName { name: name.to_string() })?;
            let presigning = placement == Placement::Query;
            if NEVER_SIGNED.contains(&parsed.as_str())
                || presigning && NEVER_PRESIGNED.contains(&parsed.as_str())
            {
                return Err(SigningError::ReservedHeader { name: parsed.to_string() });
            }
            let value =
                ascii(value).ok_or_else(|| SigningError::InvalidHeaderValue { name: parsed.to_string() })?;
            headers.push((parsed, value));
        }
        let mut headers = Self(headers);
        headers.sort();
        Ok(headers)
    }

    /// Adds a header of the signature itself.
    pub(super) fn push(&mut self, name: &'static str, value: HeaderValue) {
        self.0.push((HeaderName::from_static(name), value));
        self.sort();
    }

    /// Stable, because the values of a repeated header are joined in the order in which they are sent.
    fn sort(&mut self) {
        self.0.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    }

    /// Every name once, as in `SignedHeaders`: `content-type;host`.
    pub(super) fn names(&self) -> String {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        names.join(";")
    }

    /// The headers to send, without `host`.
    pub(super) fn to_header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.0.len() + 4);
        for (name, value) in self.0.iter().filter(|(name, _)| name != http::header::HOST) {
            map.append(name, value.clone());
        }
        map
    }

    /// `name:value` and a line feed for each name; repeated ones in one line, joined by commas.
    fn write_canonical(&self, out: &mut String) {
        for lines in self.0.chunk_by(|(a, _), (b, _)| a == b) {
            out.push_str(lines[0].0.as_str());
            for (index, (_, value)) in lines.iter().enumerate() {
                out.push(if index == 0 { ':' } else { ',' });
                out.push_str(&trimmed(value.to_str().expect("checked when the header was added")));
            }
            out.push('\n');
        }
    }
}

/// Visible ASCII, spaces and tabs; a `HeaderValue` alone would also take other text as bytes.
fn ascii(value: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(value).ok().filter(|_| value.is_ascii())
}

/// The value of `Host`, which is the origin without its scheme.
fn host(origin: &str) -> Result<&str, SigningError> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    host.filter(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']))
        .ok_or(SigningError::InvalidOrigin)
}

/// Spaces around the value removed, runs of spaces inside it made one. Tabs stay: S3 leaves them, too.
fn trimmed(value: &str) -> Cow<'_, str> {
    let value = value.trim_matches(' ');
    if !value.contains("  ") {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request>
pub(super) fn canonical_request(
    method: &Method,
    path: &str,
    query: &QueryWriter,
    headers: &CanonicalHeaders,
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
