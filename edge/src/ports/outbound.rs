//! The port through which the edge itself speaks to the object store and the CDN.

use async_trait::async_trait;
use bytes::Bytes;
use streamio_events::thread_safe::ThreadSafe;

use super::cause::Cause;

/// The largest body of an answer that an adapter reads, in bytes: one more than the largest playlist, which is larger than all other
/// answers.
pub const MAX_RESPONSE_BYTES: usize = crate::playlist::MAX_SOURCE_BYTES + 1;

/// Sends HTTP requests. The edge signs what it sends; the adapter adds nothing to it.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Outbound: ThreadSafe {
    /// Sends `request`, whose URI is absolute, and reads the whole answer, whatever its status. The adapter limits the
    /// time (a few seconds) and the size ([`MAX_RESPONSE_BYTES`]), follows no redirects and does not retry.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, OutboundError>;
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("the request got no answer")]
pub struct OutboundError(#[source] pub Cause);

/// The cause of an [`OutboundError`] for an answer with more than [`MAX_RESPONSE_BYTES`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the response has more than {MAX_RESPONSE_BYTES} bytes")]
pub struct ResponseTooLarge;

impl OutboundError {
    /// Whether there was an answer, which was too large.
    pub fn is_too_large(&self) -> bool {
        self.0.is::<ResponseTooLarge>()
    }
}
