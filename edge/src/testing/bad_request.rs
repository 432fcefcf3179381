use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use streamio_events::api_key::ApiKey;

use super::Target;

static TABLE: &str = include_str!("bad_requests.json");

/// An invalid request and the expected error.
///
/// Placeholders in the path, the headers and the body: `{project}` and `{other}` are the target's projects, `{key}` is the
/// API key that is sent (or the target's `admin` key if none is sent), `{c*12}` is twelve times the character `c`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BadRequest {
    /// What is invalid. Unique in the table.
    pub name: String,
    /// The method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The API key to send; `null` for none.
    #[serde(default = "admin")]
    pub key: Option<KeyKind>,
    /// Headers besides `x-api-key`. Each character of a value becomes one byte.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    json: Option<Value>,
    body: Option<String>,
    body_base64: Option<String>,
    /// The expected status.
    pub status: u16,
    /// The expected last part of the problem's `type`.
    pub r#type: String,
    /// The expected `field` of the problem, if it has one.
    pub field: Option<String>,
}

/// The API keys of the table.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyKind {
    /// [`Target::admin`]
    Admin,
    /// [`Target::upload`]
    Upload,
    /// [`Target::playback`]
    Playback,
    /// [`Target::read`]
    Read,
    /// [`Target::expired`]
    Expired,
    /// [`Target::revoked`]
    Revoked,
    /// [`Target::suspended`]
    Suspended,
    /// A well-formed key that does not exist.
    Unknown,
    /// [`Target::admin`] with a wrong character.
    Mistyped,
}

#[expect(clippy::unnecessary_wraps, reason = "serde requires the field's type")]
fn admin() -> Option<KeyKind> {
    Some(KeyKind::Admin)
}

/// The table.
pub fn bad_requests() -> Vec<BadRequest> {
    serde_json::from_str(TABLE).expect("the table is valid")
}

impl BadRequest {
    /// The request, for this target.
    pub fn request(&self, target: &Target) -> Request<Bytes> {
        let key = self.key.map(|kind| kind.of(target));
        let placeholder_key = key.clone().unwrap_or_else(|| target.admin.reveal().to_owned());
        let fill = |text: &str| expand(text, target, &placeholder_key);
        let mut request = Request::builder().method(self.method.as_str()).uri(fill(&self.path));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let body = match (&self.json, &self.body, &self.body_base64) {
            (Some(json), None, None) => fill(&json.to_string()).into_bytes(),
            (None, Some(text), None) => fill(text).into_bytes(),
            (None, None, Some(base64)) => STANDARD.decode(base64).expect("the table's base64 is valid"),
            (None, None, None) => Vec::new(),
            _ => panic!("{}: more than one body", self.name),
        };
        let mut request =
            request.body(Bytes::from(body)).expect("the table's requests are valid for the http crate");
        for (name, value) in &self.headers {
            let latin1: Vec<u8> = fill(value)
                .chars()
                .map(|c| u8::try_from(u32::from(c)).expect("each character is one byte"))
                .collect();
            let name: HeaderName = name.parse().expect("the table's header names are valid");
            request
                .headers_mut()
                .append(name, HeaderValue::from_bytes(&latin1).expect("the table's header values are valid"));
        }
        if !request.body().is_empty() && !request.headers().contains_key(CONTENT_TYPE) {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request
    }

    /// Checks that `response` is the expected error; returns what is wrong.
    pub fn check(&self, target: &Target, response: &Response<Bytes>) -> Result<(), String> {
        let headers = response.headers();
        let text = String::from_utf8_lossy(response.body());
        let mut mismatches = String::new();
        let mut expect = |mismatch: &str, as_expected: bool| {
            if !as_expected {
                write!(mismatches, "{mismatch}; ").expect("writing to a String does not fail");
            }
        };
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        expect("wrong status", response.status().as_u16() == self.status);
        expect(
            "wrong content type",
            headers.get(CONTENT_TYPE).is_some_and(|it| it == "application/problem+json"),
        );
        expect("wrong type", body["type"] == format!("/problems/{}", self.r#type));
        expect("wrong status in the body", body["status"] == self.status);
        expect("wrong field", body["field"].as_str() == self.field.as_deref());
        let detail = body["detail"].as_str().unwrap_or_default();
        expect("no detail", !detail.is_empty());
        expect("no request id", body["requestId"].as_str().is_some_and(|id| !id.is_empty()));
        let id = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        expect("different request id in the header", id == body["requestId"].as_str());
        let status = response.status();
        expect(
            "no WWW-Authenticate",
            status != StatusCode::UNAUTHORIZED || headers.contains_key(WWW_AUTHENTICATE),
        );
        expect("no Allow", status != StatusCode::METHOD_NOT_ALLOWED || headers.contains_key(ALLOW));
        expect(
            "no Retry-After",
            status != StatusCode::TOO_MANY_REQUESTS || headers.contains_key(RETRY_AFTER),
        );
        let sent = self.key.map(|kind| kind.of(target));
        expect("the response contains the API key", sent.is_none_or(|key| !text.contains(&key)));
        expect("the response contains a signature", !text.contains("Signature="));
        if mismatches.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "{mismatches}expected {} {} {:?}, got {} {text}",
                self.status,
                self.r#type,
                self.field,
                response.status()
            ))
        }
    }
}

impl KeyKind {
    fn of(self, target: &Target) -> String {
        let key = match self {
            Self::Admin => &target.admin,
            Self::Upload => &target.upload,
            Self::Playback => &target.playback,
            Self::Read => &target.read,
            Self::Expired => &target.expired,
            Self::Revoked => &target.revoked,
            Self::Suspended => &target.suspended,
            Self::Unknown => &ApiKey::generate("live", [0x5a; 32]).expect("`live` is an environment"),
            Self::Mistyped => {
                let mut text = target.admin.reveal().to_owned();
                let last = text.pop();
                text.push(if last == Some('0') { '1' } else { '0' });
                return text;
            }
        };
        key.reveal().to_owned()
    }
}

/// Replaces the placeholders of `text`.
fn expand(text: &str, target: &Target, key: &str) -> String {
    let substituted = text
        .replace("{project}", target.project_id.as_str())
        .replace("{other}", target.other_project_id.as_str())
        .replace("{key}", key);
    let mut out = String::with_capacity(substituted.len());
    let mut rest = substituted.as_str();
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let (replacement, length) = repetition(rest).unwrap_or_else(|| ("{".to_owned(), 1));
        out.push_str(&replacement);
        rest = &rest[length..];
    }
    out + rest
}

/// Expands a placeholder `{c*12}` at the beginning of `text`; returns the expansion and the placeholder's length.
fn repetition(text: &str) -> Option<(String, usize)> {
    let inner = text[1..].split_once('}')?.0;
    let (character, count) = inner.rsplit_once('*')?;
    let mut characters = character.chars();
    let (first, second) = (characters.next()?, characters.next());
    let count: usize = count.parse().ok()?;
    second.is_none().then(|| (first.to_string().repeat(count), inner.len() + 2))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::problem::ProblemKind;

    #[test]
    fn the_table_has_unique_names_and_expects_existing_problem_types() {
        let table = bad_requests();
        assert!(table.len() >= 60, "{}", table.len());
        assert_eq!(table.iter().map(|bad| &bad.name).collect::<HashSet<_>>().len(), table.len());
        for bad in &table {
            let kind = ProblemKind::ALL.iter().find(|kind| kind.slug() == bad.r#type).expect(&bad.name);
            assert_eq!(kind.status(), bad.status, "{}", bad.name);
            assert!((400..500).contains(&bad.status), "{}", bad.name);
        }
    }

    #[test]
    fn repetitions_are_expanded() {
        assert_eq!(repetition("{[*3}x"), Some(("[[[".to_owned(), 5)));
        assert_eq!(repetition("{**2}"), Some(("**".to_owned(), 5)));
        for plain in ["{", "{}", "{a}", "{ab*2}", "{*2}", "{a*}", r#"{"a": 1}"#] {
            assert_eq!(repetition(plain), None, "{plain}");
        }
    }
}
