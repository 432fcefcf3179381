//! The key-value store near the edge.

use async_trait::async_trait;
use bytes::Bytes;
use streamio_events::thread_safe::ThreadSafe;

use super::cause::Cause;

/// A key-value store of the host.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait KeyValueStore: ThreadSafe {
    /// The value under `name`; `None` when there is none. The result, also `None`, may be as old as the store's delay. The
    /// adapter requests no longer caching than the store's default (Cloudflare's `cacheTtl`, 60 seconds), which is part of
    /// the time until a revoked key is refused.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, Cause>;
}
