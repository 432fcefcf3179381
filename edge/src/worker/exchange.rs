//! A request from JavaScript and an answer to it, each in one crossing of the boundary.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use js_sys::Promise;
use wasm_bindgen::JsValue;

use super::host;
use crate::edge::REQUEST_HEADERS;

/// What differs from answer to answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

pub(super) fn header_names() -> String {
    REQUEST_HEADERS.map(|name| name.as_str().to_owned()).join(",")
}

/// Reads `head`: the method, the path with the query, and for each of [`REQUEST_HEADERS`] either nothing or `=` and
/// its value, separated by line feeds (which none of them can hold).
pub(super) fn request(head: &str, body: Vec<u8>) -> Request<Bytes> {
    let mut lines = head.split('\n');
    let mut request = Request::new(Bytes::from(body));
    // The runtime has parsed both before: what it lets pass and `http` does not is no method and no path of the API.
    *request.method_mut() =
        lines.next().and_then(|text| Method::from_bytes(text.as_bytes()).ok()).unwrap_or(Method::TRACE);
    *request.uri_mut() = lines.next().and_then(|text| text.parse().ok()).unwrap_or_else(no_path);
    for (name, line) in REQUEST_HEADERS.iter().zip(lines) {
        if let Some(value) = line.strip_prefix('=').and_then(|text| HeaderValue::from_str(text).ok()) {
            request.headers_mut().insert(name.clone(), value);
        }
    }
    request
}

fn no_path() -> Uri {
    Uri::from_static("/")
}

/// The web `Response`, with `acceptance` where it must wait for that. The status and the headers that are the same in many
/// answers go as one text that JavaScript knows again; whether there is a `ratelimit` is said by the `ratelimit-policy` among them.
pub(super) fn response(response: &Response<Bytes>, acceptance: Option<Promise>) -> JsValue {
    let mut head = String::with_capacity(320);
    head.push_str(response.status().as_str());
    head.push('\n');
    let (mut request_id, mut rate_limit) = ("", None);
    for (name, value) in response.headers() {
        // Everything that the API answers with is ASCII, or an echo of a header that came as text.
        let value = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
        if *name == REQUEST_ID {
            request_id = value;
        } else if *name == RATE_LIMIT {
            rate_limit = Some(value);
        } else {
            for text in [name.as_str(), "\n", value, "\n"] {
                head.push_str(text);
            }
        }
    }
    // Bodies are JSON.
    match std::str::from_utf8(response.body()) {
        Ok(body) => host::respond(&head, request_id, rate_limit, body, acceptance),
        Err(_) => host::respond("500\n", request_id, None, "", None),
    }
}
