//! The tenants in the key-value store near the edge.

use std::sync::Arc;

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;

use crate::ports::Cause;
use crate::ports::key_value_store::KeyValueStore;
use crate::ports::tenant_source::TenantSource;

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
