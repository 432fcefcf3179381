//! The sources of the replicated directory, and the port that reports their failures.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;
use streamio_events::thread_safe::ThreadSafe;

use super::cause::Cause;

/// Stores tenants by API key.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait TenantSource: ThreadSafe {
    /// The tenant whose API key has the SHA-256 `key`; `None` if the source has no such key. An adapter returns within a
    /// few seconds and does not retry. A record that it cannot read is an error, never `None`. Dropping the future
    /// cancels the call.
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, Cause>;
}

/// The two sources of the replicated directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceName {
    /// The key-value store near the edge: fast, but it lags behind the home region by its delay.
    KeyValueStore,
    /// The home region: slow, but authoritative.
    HomeRegion,
}

impl fmt::Display for SourceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::KeyValueStore => "the key-value store",
            Self::HomeRegion => "the home region",
        })
    }
}

/// Reports failures of sources. Most lookups succeed despite a failure, so it would not be visible otherwise: a key-value
/// store with unreadable records would show only in the home region's load.
pub trait SourceFailures: ThreadSafe {
    /// `source` failed or returned an unusable record. Called once per failure, immediately. Log `error` with its sources;
    /// they contain no API key.
    fn source_failed(&self, source: SourceName, error: &(dyn Error + 'static));
}
