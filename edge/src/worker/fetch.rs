//! Requests to the outside, by the runtime's `fetch`.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::host::{self, Exchanged};
use crate::ports::outbound::{Outbound, OutboundError};

/// Twice the largest answer of the home region; those of the others are smaller.
const MAX_ANSWER_BYTES: u32 = 1024 * 1024;

pub(super) struct FetchOutbound {
    /// How long an exchange may take, in milliseconds.
    timeout: u32,
}

impl FetchOutbound {
    /// For requests without which there is no answer.
    pub(super) const PATIENT: Self = Self { timeout: 10_000 };

    /// For look-ups that have something to fall back on: shorter than the directory's lease.
    pub(super) const BRIEF: Self = Self { timeout: 3_000 };
}

#[async_trait(?Send)]
impl Outbound for FetchOutbound {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        let mut head = String::new();
        for (name, value) in request.headers() {
            let value = value.to_str().map_err(|error| OutboundError(error.into()))?;
            if !head.is_empty() {
                head.push('\n');
            }
            head.push_str(name.as_str());
            head.push('\n');
            head.push_str(value);
        }
        let body = Uint8Array::from(&request.body()[..]);
        let url = request.uri().to_string();
        let exchanged =
            host::exchange(request.method().as_str(), &url, &head, body, self.timeout, MAX_ANSWER_BYTES)
                .map_err(failed)?;
        let exchanged: Exchanged = JsFuture::from(exchanged).await.map_err(failed)?.unchecked_into();
        let mut response = Response::new(Bytes::from(exchanged.body().to_vec()));
        *response.status_mut() =
            StatusCode::from_u16(exchanged.status()).map_err(|error| OutboundError(error.into()))?;
        let head = exchanged.head();
        let mut lines = head.split('\n');
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                response.headers_mut().append(name, value);
            }
        }
        Ok(response)
    }
}

/// The kind of failure alone: its message may repeat the address, which may be a signed one.
#[expect(clippy::needless_pass_by_value, reason = "it is what errors are mapped with")]
fn failed(error: JsValue) -> OutboundError {
    let name = error
        .dyn_ref::<js_sys::Error>()
        .map_or_else(|| "a value that is no error".to_owned(), |error| String::from(error.name()));
    OutboundError(format!("fetch failed with {name}").into())
}
