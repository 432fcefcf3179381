//! The tenants in the key-value store near the edge.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;

use super::source::TenantSource;
use crate::port::{Cause, ThreadSafe};

/// The host's key-value store.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait KeyValueStore: ThreadSafe {
    /// The value of `name`; `None` if there is none. Values and misses may be as old as the store's delay. An adapter must
    /// not request longer caching than the store's default (Cloudflare's `cacheTtl`, 60 seconds), which is part of the
    /// time until a revoked key is refused.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, Cause>;
}

/// Reads tenants in the format of [`Tenant::to_stored`]. An unreadable value is an error, never an unknown key.
pub struct StoredTenants {
    store: Arc<dyn KeyValueStore>,
}

impl StoredTenants {
    /// A source that reads from `store`.
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
