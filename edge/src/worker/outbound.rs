//! Outgoing requests, by the runtime's `fetch`.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use js_sys::{Reflect, Uint8Array};
use worker::worker_sys::web_sys::{self, AbortSignal, RequestInit, RequestRedirect};
use worker::{Error, Fetch, Headers, ResponseBody};

use crate::ports::outbound::{MAX_RESPONSE_BYTES, Outbound, OutboundError, ResponseTooLarge};

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
        let signal = AbortSignal::timeout_with_u32(self.timeout);
        let fetch = Fetch::Request(fetch_request(&request)?);
        let mut received = fetch.send_with_signal(&signal.into()).await.map_err(failed)?;
        let status = StatusCode::from_u16(received.status_code());
        let mut response = Response::new(body(&mut received).await?);
        *response.status_mut() = status.map_err(|error| OutboundError(error.into()))?;
        for (name, value) in received.headers() {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                response.headers_mut().append(name, value);
            }
        }
        Ok(response)
    }
}

/// Returns `request` for `fetch`. It is made without [`worker::RequestInit`], whose properties for Cloudflare's own proxy would add
/// 8 KB to the Worker.
fn fetch_request(request: &Request<Bytes>) -> Result<worker::Request, OutboundError> {
    let headers = Headers::new();
    for (name, value) in request.headers() {
        let value = value.to_str().map_err(|error| OutboundError(error.into()))?;
        headers.append(name.as_str(), value).map_err(failed)?;
    }
    let init = RequestInit::new();
    init.set_method(request.method().as_str());
    init.set_headers(headers.as_ref());
    init.set_redirect(RequestRedirect::Manual);
    // The CDN decides about each request by its signature, and calls of the home region must not be answered from a cache. The binding
    // of this field is not among those that `worker` compiles.
    Reflect::set(&init, &"cache".into(), &"no-store".into()).map_err(|error| failed(error.into()))?;
    if !request.body().is_empty() {
        init.set_body(&Uint8Array::from(&request.body()[..]));
    }
    let request = web_sys::Request::new_with_str_and_init(&request.uri().to_string(), &init);
    request.map(worker::Request::from).map_err(|error| failed(error.into()))
}

/// Reads a body of at most [`MAX_RESPONSE_BYTES`].
async fn body(response: &mut worker::Response) -> Result<Bytes, OutboundError> {
    if let ResponseBody::Empty = response.body() {
        return Ok(Bytes::new());
    }
    let mut body = Vec::new();
    let mut chunks = response.stream().map_err(failed)?;
    while let Some(chunk) = chunks.next().await {
        body.extend(chunk.map_err(failed)?);
        if body.len() > MAX_RESPONSE_BYTES {
            return Err(OutboundError(ResponseTooLarge.into()));
        }
    }
    Ok(body.into())
}

/// The kind of the failure without its message, which may repeat the address, and the address may be a signed URL.
#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn failed(error: Error) -> OutboundError {
    let kind = match &error {
        Error::UnknownJsError { name: Some(name), .. } => name,
        other => <&'static str>::from(other),
    };
    OutboundError(format!("fetch failed with {kind}").into())
}
