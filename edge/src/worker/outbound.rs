//! Outgoing requests, by the runtime's `fetch`.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::ports::outbound::{MAX_RESPONSE_BYTES, Outbound, OutboundError, ResponseTooLarge};

#[wasm_bindgen(raw_module = "./outbound.js")]
extern "C" {
    /// Sends a request. Returns an array of the head of the response and the bytes of its body, which are `undefined` if there are
    /// more than `limit`. Both heads are lines: the method and the URL or the status, then header names and values in turn.
    #[wasm_bindgen(js_name = send, catch)]
    async fn fetch(
        head: &str,
        body: Option<Uint8Array>,
        timeout: u32,
        limit: usize,
    ) -> Result<JsValue, JsValue>;
}

/// Sends requests by `fetch`.
pub(super) struct FetchOutbound {
    /// How long a request may take until the end of the response, in milliseconds.
    timeout: u32,
}

impl FetchOutbound {
    /// For requests whose result a response depends on.
    pub(super) const PATIENT: Self = Self { timeout: 10_000 };

    /// For lookups that have a fallback: shorter than the directory's lease.
    pub(super) const BRIEF: Self = Self { timeout: 3_000 };
}

#[async_trait(?Send)]
impl Outbound for FetchOutbound {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        let body = Some(request.body()).filter(|body| !body.is_empty());
        let body = body.map(|body| Uint8Array::new_from_slice(body));
        let received = fetch(&head_of(&request)?, body, self.timeout, MAX_RESPONSE_BYTES).await;
        let received: Array = received.map_err(|error| failed(&error))?.unchecked_into();
        let (head, body) = (received.get(0).as_string().unwrap_or_default(), received.get(1));
        let body = body.dyn_ref::<Uint8Array>().ok_or_else(|| OutboundError(ResponseTooLarge.into()))?;
        response(&head, body.to_vec())
    }
}

/// The head of `request` for [`fetch`]. Neither URLs nor header values can contain line feeds.
fn head_of(request: &Request<Bytes>) -> Result<String, OutboundError> {
    let mut head = [request.method().as_str(), "\n", &request.uri().to_string()].concat();
    for (name, value) in request.headers() {
        let value = value.to_str().map_err(|error| OutboundError(error.into()))?;
        for text in ["\n", name.as_str(), "\n", value] {
            head.push_str(text);
        }
    }
    Ok(head)
}

/// The response with this head and body. Headers that are invalid are left out.
fn response(head: &str, body: Vec<u8>) -> Result<Response<Bytes>, OutboundError> {
    let mut lines = head.split('\n');
    let status = StatusCode::from_bytes(lines.next().unwrap_or_default().as_bytes());
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status.map_err(|error| OutboundError(error.into()))?;
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// The kind of the failure without its message, which may repeat the address, and the address may be a signed URL.
fn failed(error: &JsValue) -> OutboundError {
    let name = Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string());
    OutboundError(format!("fetch failed with {}", name.as_deref().unwrap_or("an error")).into())
}
