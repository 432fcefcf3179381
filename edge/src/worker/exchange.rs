//! Requests from JavaScript and the responses to them, each in one crossing of the boundary between JavaScript and Wasm.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::edge::REQUEST_HEADERS;

/// The headers that differ between responses.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

#[wasm_bindgen(raw_module = "./response.js")]
extern "C" {
    /// Creates a web `Response` from a head that many responses share (the status, then header names and values in turn, one
    /// per line), the two headers that differ, and a body. With a `receipt` it returns an array of the `Response` and the
    /// receipt.
    fn respond(
        head: &str,
        request_id: &str,
        rate_limit: Option<&str>,
        body: &str,
        receipt: Option<Promise>,
    ) -> JsValue;
}

pub(super) fn header_names() -> String {
    REQUEST_HEADERS.map(|name| name.as_str().to_owned()).join(",")
}

/// Parses `head`: the method, the path with the query, and for each of [`REQUEST_HEADERS`] either nothing or `=` and its
/// value, separated by line feeds (which none of them can contain).
pub(super) fn request(head: &str, body: Vec<u8>) -> Request<Bytes> {
    let mut lines = head.split('\n');
    let mut request = Request::new(Bytes::from(body));
    // The runtime has validated both. What it accepts and `http` does not is not a method or path of the API.
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

/// Returns the web `Response`; with a `receipt`, an array of the `Response` and the receipt. The status and the headers that
/// many responses share are sent as one text, by which JavaScript finds a cached `Response`; the `ratelimit-policy` in it
/// determines whether there is a `ratelimit`.
pub(super) fn response(response: &Response<Bytes>, receipt: Option<Promise>) -> JsValue {
    let mut head = String::with_capacity(320);
    head.push_str(response.status().as_str());
    head.push('\n');
    let (mut request_id, mut rate_limit) = ("", None);
    for (name, value) in response.headers() {
        // Response headers are ASCII, or repeat a request header that was a text.
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
        Ok(body) => respond(&head, request_id, rate_limit, body, receipt),
        Err(_) => respond("500\n", request_id, None, "", None),
    }
}
