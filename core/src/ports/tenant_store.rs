//! The port through which the directory of tenants is kept: the record of each API key, by the key's hash.

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;

use crate::ports::AdapterError;

/// The store did not answer. Retry.
#[derive(Debug, thiserror::Error)]
#[error("the directory of tenants is not available")]
pub struct TenantStoreError(#[source] pub AdapterError);

/// Keeps the records of API keys. They can be thrown away and rebuilt from the projects' streams at any time.
#[async_trait]
pub trait TenantStore: Send + Sync {
    /// The record of the API key with this hash, as it was last put; `None` when there is no such key.
    async fn get(&self, key: &KeyHash) -> Result<Option<Tenant>, TenantStoreError>;

    /// Puts the record of a key, unless the stored one has the same or a higher [`Tenant::version`]. Answers whether it was
    /// written.
    async fn put(&self, key: &KeyHash, tenant: &Tenant) -> Result<bool, TenantStoreError>;
}
