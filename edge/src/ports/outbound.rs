//! The port through which the edge itself speaks to the object store.

use async_trait::async_trait;
use bytes::Bytes;
use streamio_events::thread_safe::ThreadSafe;

use super::cause::Cause;

/// Sends HTTP requests. The edge signs what it sends; the adapter adds nothing to it.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Outbound: ThreadSafe {
    /// Sends `request`, whose URI is absolute, and reads the whole answer, whatever its status. The adapter limits the
    /// time (a few seconds) and the size (some hundred KiB are plenty), follows no redirects and does not retry.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, OutboundError>;
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("the request got no answer")]
pub struct OutboundError(#[source] pub Cause);
