//! A response and its text form in a transcript.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::Value;

/// Response headers of the connection, not of the API (in process there are none of them), and the one that depends on whether
/// the journal can be read.
const UNCOMPARED_HEADERS: [&str; 6] =
    ["connection", "date", "idempotency-replayed", "keep-alive", "server", "transfer-encoding"];

/// A response of the API, the object store or the CDN.
#[derive(Debug, Clone)]
pub(crate) struct ApiResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ApiResponse {
    pub(crate) fn of(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body }
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The text at `pointer` in the JSON body.
    pub(crate) fn text(&self, pointer: &str) -> String {
        let json = self.json();
        let found = json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer}: {json}")).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The last path segment of the problem's `type`.
    pub(crate) fn problem(&self) -> String {
        self.text("/type").replace("/problems/", "")
    }

    /// Returns itself. Panics if the status is not `status`.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", to_text(&Method::GET, &self));
        self
    }

    /// Returns itself. Panics if it is not this problem.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, problem: &str) -> Self {
        let response = self.expect(status);
        assert_eq!(response.problem(), problem, "{}", to_text(&Method::GET, &response));
        response
    }
}

/// The text of a response to a request of `method`: the status, the headers ordered by name, an empty line, the body. A
/// `content-length` is printable only for HEAD, where it is content; otherwise it is framing.
pub(crate) fn to_text(method: &Method, response: &ApiResponse) -> String {
    let mut headers: Vec<String> = response
        .headers
        .iter()
        .filter(|(name, _)| !UNCOMPARED_HEADERS.contains(&name.as_str()))
        .filter(|(name, _)| *name != "content-length" || *method == Method::HEAD)
        .map(|(name, value)| format!("{name}: {}", printable(value.as_bytes())))
        .collect();
    headers.sort();
    let mut text = format!("{}\n", response.status.as_u16());
    for header in headers {
        writeln!(text, "{header}").unwrap();
    }
    writeln!(text, "\n{}", printable(&response.body)).unwrap();
    text
}

/// UTF-8 as it is, other bytes escaped.
pub(crate) fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("(not UTF-8) {}", bytes.escape_ascii()),
    }
}

/// The query parameter `name` of `url`, not decoded.
pub(crate) fn parameter<'a>(url: &'a str, name: &str) -> &'a str {
    let query = url.split_once('?').unwrap_or_else(|| panic!("no query: {url}")).1;
    let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name}: {url}"))
}
