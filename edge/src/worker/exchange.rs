//! Requests from JavaScript and the responses to them, each in one crossing of the boundary between JavaScript and Wasm.

use std::cell::RefCell;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::edge::REQUEST_HEADERS;

/// The headers that differ between responses.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The most heads that are kept.
const MAX_HEADS: usize = 64;

thread_local! {
    /// The heads that JavaScript has a template for, by the template's number.
    static HEADS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

#[wasm_bindgen(raw_module = "./response.js")]
extern "C" {
    /// Creates a template of responses from a head: the status, then header names and values in turn, one per line.
    #[wasm_bindgen(js_name = createTemplate)]
    fn create_template(number: usize, head: &str);

    /// Creates a web `Response` from a template and from `text`: the `x-request-id`, which ends at `rate_limit_at`, the
    /// `ratelimit`, which ends at `body_at` and may be empty, and the body. They are one text because each text that crosses the
    /// boundary costs about half a microsecond. All positions are within the first two, which are ASCII. With a `receipt` it
    /// returns an array of the `Response` and the receipt.
    fn respond(
        template: usize,
        text: &str,
        rate_limit_at: usize,
        body_at: usize,
        receipt: Option<Promise>,
    ) -> JsValue;

    /// Creates a web `Response` from a template, an `x-request-id`, an `etag`, and a body that is not passed as text. JavaScript
    /// gets a view of the body and copies it.
    #[wasm_bindgen(js_name = respondWithBytes)]
    fn respond_with_bytes(template: usize, request_id: &str, etag: &str, body: &[u8]) -> JsValue;
}

/// The address of the client, which Cloudflare states and no client can.
/// <https://developers.cloudflare.com/fundamentals/reference/http-headers/#cf-connecting-ip>
const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("cf-connecting-ip");

/// The names of the headers that JavaScript passes, separated by commas.
pub(super) fn header_names() -> String {
    headers().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(",")
}

fn headers() -> impl Iterator<Item = HeaderName> {
    REQUEST_HEADERS.into_iter().chain([CLIENT_ADDRESS])
}

pub(super) fn client_address(request: &Request<Bytes>) -> Option<IpAddr> {
    request.headers().get(CLIENT_ADDRESS)?.to_str().ok()?.parse().ok()
}

/// Parses `head`: the method, the URL, and for each of [`header_names`] either nothing or `=` and its
/// value, separated by line feeds (which none of them can contain).
pub(super) fn request(head: &str, body: Vec<u8>) -> Request<Bytes> {
    let mut lines = head.split('\n');
    let mut request = Request::new(Bytes::from(body));
    // The runtime has validated both. What it accepts and `http` does not is not a method or path of the API.
    *request.method_mut() =
        lines.next().and_then(|text| Method::from_bytes(text.as_bytes()).ok()).unwrap_or(Method::TRACE);
    *request.uri_mut() = lines.next().and_then(|text| text.parse().ok()).unwrap_or_else(no_path);
    for (name, line) in headers().zip(lines) {
        if let Some(value) = line.strip_prefix('=').and_then(|text| HeaderValue::from_str(text).ok()) {
            request.headers_mut().insert(name, value);
        }
    }
    request
}

fn no_path() -> Uri {
    Uri::from_static("/")
}

/// Returns the number of the template for `head`. Most responses have the same status and headers as an earlier one.
fn template(head: String) -> usize {
    HEADS.with_borrow_mut(|heads| {
        if let Some(number) = heads.iter().position(|known| *known == head) {
            return number;
        }
        if heads.len() == MAX_HEADS {
            heads.clear();
        }
        create_template(heads.len(), &head);
        heads.push(head);
        heads.len() - 1
    })
}

/// Returns the web `Response`; with a `receipt`, an array of the `Response` and the receipt.
pub(super) fn response(response: &Response<Bytes>, receipt: Option<Promise>) -> JsValue {
    let mut head = String::with_capacity(320);
    head.push_str(response.status().as_str());
    head.push('\n');
    let (mut request_id, mut rate_limit, mut etag) = ("", "", "");
    for (name, value) in response.headers() {
        // Response headers are ASCII, or repeat a request header that was a text.
        let value = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
        if *name == REQUEST_ID {
            request_id = value;
        } else if *name == RATE_LIMIT {
            rate_limit = value;
        } else if *name == ETAG {
            etag = value;
        } else {
            for text in [name.as_str(), "\n", value, "\n"] {
                head.push_str(text);
            }
        }
    }
    if !etag.is_empty() {
        // A playlist can be large. As text it would be decoded and encoded again.
        return respond_with_bytes(template(head), request_id, etag, response.body());
    }
    // Other bodies are JSON.
    match std::str::from_utf8(response.body()) {
        Ok(body) => {
            let rate_limit_at = request_id.len();
            let body_at = rate_limit_at + rate_limit.len();
            respond(template(head), &[request_id, rate_limit, body].concat(), rate_limit_at, body_at, receipt)
        }
        Err(_) => {
            respond(template("500\n".to_owned()), request_id, request_id.len(), request_id.len(), receipt)
        }
    }
}
