//! Requests to the API: path, query, headers and body.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use serde_json::Value;
use streamio_edge::config::AllowedOrigins;

use crate::api::Api;
use crate::text;

static API: LazyLock<Api> =
    LazyLock::new(|| Api::new(AllowedOrigins::Any).expect("the configuration is valid"));

/// The longest response, in bytes: the description of the API has about 100 KB.
const MAX_RESPONSE: usize = 256 * 1024;

/// Each request has a response that is no 5xx, is bounded, is JSON if it says so, and has no secret. The input is an HTTP/1.1 request
/// without a version: `METHOD target`, headers, an empty line, the body. `KEY` stands for an API key.
pub fn check(data: &[u8]) {
    let Some(request) = parse(data, API.key.reveal()) else { return };
    let response = API.handle(&request, Response::new(Bytes::new()));
    let status = response.status().as_u16();
    // The CDN's response is not a playlist.
    let is_playlist = request.uri().path().starts_with("/play/");
    assert!(!response.status().is_server_error() || is_playlist, "{status} for {request:?}");
    assert!(response.body().len() <= MAX_RESPONSE, "{}", response.body().len());
    let body = String::from_utf8_lossy(response.body());
    assert!(!body.contains(API.key.reveal()) && !body.contains("EXAMPLEKEY\""), "{request:?}");
    let content_type = response.headers().get("content-type").map(HeaderValue::as_bytes).unwrap_or_default();
    if content_type.ends_with(b"json") && !body.is_empty() {
        let value: Value = serde_json::from_str(&body).expect("it is JSON");
        if let Some(url) = value.get("uploadUrl").and_then(Value::as_str) {
            assert!(
                url.starts_with("https://streamio-raw.s3.eu-west-1.amazonaws.com/projects/acme/"),
                "{url}"
            );
        }
        if let Some(url) = value.get("signedUrl").and_then(Value::as_str) {
            assert!(url.starts_with("https://d111111abcdef8.cloudfront.net/processed/acme/"), "{url}");
        }
    }
}

/// The request of an input; `None` if a server would not accept it.
pub(crate) fn parse(data: &[u8], key: &str) -> Option<Request<Bytes>> {
    let ([line], mut rest) = text::lines(data);
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let uri = Uri::try_from(words.next()?).ok()?;
    let mut request = Request::builder().method(method).uri(uri).body(Bytes::new()).ok()?;
    loop {
        let ([line], after) = text::lines(rest);
        rest = after;
        if line.is_empty() {
            break;
        }
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        let value = line[at + 1..].trim_ascii();
        let value = if value == b"KEY" { key.as_bytes() } else { value };
        request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    *request.body_mut() = Bytes::copy_from_slice(rest);
    Some(request)
}
