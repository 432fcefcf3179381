//! The check of the `aws-chunked` encoding, for fuzzing.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::chunked::ChunkedFraming;

/// A body in the pieces in which it is received.
pub type SplitBody<'a> = &'a [&'a [u8]];

/// The bytes that are passed on for a body; the fault as text if it is refused. `signed` is whether its chunks are signed.
///
/// # Errors
/// The fault of the body.
pub fn reframe(signed: bool, body: SplitBody<'_>) -> Result<Vec<u8>, String> {
    let payload =
        if signed { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" } else { "STREAMING-UNSIGNED-PAYLOAD-TRAILER" };
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-amz-content-sha256"),
        HeaderValue::from_static(payload),
    )]);
    let mut framing = ChunkedFraming::for_headers(&headers).ok_or("the header declares no chunks")?;
    let mut out = VecDeque::new();
    for piece in body {
        framing.receive(Bytes::copy_from_slice(piece), &mut out).map_err(|fault| fault.to_string())?;
    }
    framing.end().map_err(|fault| fault.to_string())?;
    Ok(out.into_iter().flatten().collect())
}
