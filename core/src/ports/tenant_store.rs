//! The port that stores the directory of tenants: one record per API key, by the key's hash.

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;

use crate::ports::AdapterError;

/// The store is unavailable. Retry.
#[derive(Debug, thiserror::Error)]
#[error("the directory of tenants is not available")]
pub struct TenantStoreError(#[source] pub AdapterError);

/// Stores the records of API keys. They can be deleted and rebuilt from the projects' streams at any time.
#[async_trait]
pub trait TenantStore: Send + Sync {
    /// Returns the stored record of the API key with this hash; `None` if there is none.
    async fn get(&self, key: &KeyHash) -> Result<Option<Tenant>, TenantStoreError>;

    /// Stores the record of a key, unless the stored record has the same or a higher [`Tenant::version`]. Returns whether it
    /// was written.
    async fn put(&self, key: &KeyHash, tenant: &Tenant) -> Result<bool, TenantStoreError>;
}
