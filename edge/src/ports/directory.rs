//! The directory of API keys.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;
use streamio_events::thread_safe::ThreadSafe;
use streamio_events::timestamp::Timestamp;

use super::cause::Cause;

/// Looks up the tenant of an API key.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Directory: ThreadSafe {
    /// The tenant whose API key has the SHA-256 `key`; `None` for a key that was never created. A revoked key is found,
    /// with [`Tenant::revoked`], for as long as any cache may still hold it.
    ///
    /// Called only for keys with a valid checksum. The result may be as old as the platform states for revocations, and
    /// older only where `tolerance` allows it, in which case [`FoundTenant::stale_for`] is set.
    async fn lookup(
        &self,
        key: &KeyHash,
        now: Timestamp,
        tolerance: Tolerance,
    ) -> Result<Option<FoundTenant>, DirectoryError>;
}

/// Whether a result may be older than the directory's hard age when no newer one is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// Never: what cannot be confirmed is an error.
    Strict,
    /// For a stated time: playback continues while the home region is down.
    Stale,
}

/// A directory's result and its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTenant {
    /// The key and its project, shared with the cache: a cached result copies nothing.
    pub tenant: Arc<Tenant>,
    /// How far the result is past the hard age; `None` when it is within.
    pub stale_for: Option<Duration>,
}

impl From<Tenant> for FoundTenant {
    fn from(tenant: Tenant) -> Self {
        Self { tenant: Arc::new(tenant), stale_for: None }
    }
}

/// The directory is unavailable. The lookup may be repeated.
#[derive(Debug, thiserror::Error)]
#[error("the directory of API keys is not available")]
pub struct DirectoryError(#[source] pub Cause);
