//! The tenants in the key-value store near the edge.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;

use super::source::TenantSource;
use crate::port::{Cause, ThreadSafe};

/// A key-value store as its host offers it.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait KeyValueStore: ThreadSafe {
    /// The value under `name`; `None` where there is none. It may be as old as the store's delay, a miss too. The adapter
    /// asks for no longer caching than the store's default (Cloudflare's `cacheTtl`, 60 seconds): that is a part of the
    /// time until a revoked key is refused.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, Cause>;
}

/// Reads tenants as [`Tenant::to_stored`] writes them. A value that is none is an error, never an unknown key.
pub struct StoredTenants {
    store: Arc<dyn KeyValueStore>,
}

impl StoredTenants {
    /// The tenants in `store`.
    pub fn new(store: Arc<dyn KeyValueStore>) -> Self {
        Self { store }
    }
}

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl TenantSource for StoredTenants {
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, Cause> {
        let value = self.store.get(&Tenant::stored_name(key)).await?;
        value.map(|value| Tenant::from_stored(key, &value)).transpose().map_err(Cause::from)
    }
}
