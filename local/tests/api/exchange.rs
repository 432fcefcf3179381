//! One request and its answer, read and written down.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::Value;

/// Headers of an answer that belong to its connection and not to the API, and the clock of whoever writes them. In
/// process there are none of them.
const CONNECTION: [&str; 5] = ["connection", "date", "keep-alive", "server", "transfer-encoding"];

/// An answer of the API or of a server that an answer led to.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
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

    /// The last part of the problem's `type`.
    pub(crate) fn problem(&self) -> String {
        self.text("/type").replace("/problems/", "")
    }

    /// Itself, when its status is `status`.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", written(&Method::GET, &self));
        self
    }

    /// Itself, when it is this refusal.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, problem: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.problem(), problem, "{}", written(&Method::GET, &answer));
        answer
    }
}

/// The answer to a request of `method` as text: the status, the headers in the order of their names, an empty line, the
/// body. A `content-length` is shown where it is an answer's content (HEAD): elsewhere it is framing.
pub(crate) fn written(method: &Method, answer: &Answer) -> String {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !CONNECTION.contains(&name.as_str()))
        .filter(|(name, _)| *name != "content-length" || *method == Method::HEAD)
        .map(|(name, value)| format!("{name}: {}", shown(value.as_bytes())))
        .collect();
    headers.sort();
    let mut text = format!("{}\n", answer.status.as_u16());
    for header in headers {
        writeln!(text, "{header}").unwrap();
    }
    writeln!(text, "\n{}", shown(&answer.body)).unwrap();
    text
}

/// Text as it is, anything else byte by byte.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("(no UTF-8) {}", bytes.escape_ascii()),
    }
}

/// The parameter `name` of `url`, as it stands there.
pub(crate) fn parameter<'a>(url: &'a str, name: &str) -> &'a str {
    let query = url.split_once('?').unwrap_or_else(|| panic!("no query: {url}")).1;
    let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name}: {url}"))
}
