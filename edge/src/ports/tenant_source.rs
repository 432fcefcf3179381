//! What the replicated directory asks, and whom it tells when that fails.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;

use super::{Cause, ThreadSafe};

/// Somewhere that holds tenants by their API keys.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait TenantSource: ThreadSafe {
    /// The tenant whose API key has the SHA-256 `key`; `None` where the source knows no such key. An adapter answers
    /// within a few seconds, does not retry, and makes an error of whatever it cannot read: `None` only means that
    /// there is nothing. Dropping the future gives the question up.
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, Cause>;
}

/// The two sources of the replicated directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceName {
    /// The key-value store near the edge: fast, and behind the home region by its delay.
    KeyValueStore,
    /// The home region: far, and the truth.
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

/// Is told of every failure of a source. Many are survived, in the answer or after it, and nobody else would hear of
/// them: a key-value store that holds nonsense would only be seen by the home region's load.
pub trait SourceFailures: ThreadSafe {
    /// `source` did not give a usable answer. Called once for each failure, at once; log `error` with its sources, which
    /// hold no API key.
    fn source_failed(&self, source: SourceName, error: &(dyn Error + 'static));
}
