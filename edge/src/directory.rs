//! The port to what is known of API keys.

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::event::Scope;
use streamio_events::id::{KeyId, ProjectId};
use streamio_events::timestamp::Timestamp;

use crate::port::{Cause, ThreadSafe};

/// Finds out whose an API key is.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Directory: ThreadSafe {
    /// The tenant whose API key has the SHA-256 `key`; `None` for a key that was never made. A revoked key is found,
    /// with [`Tenant::revoked`], for as long as anything may still remember it.
    ///
    /// Called only for keys whose checksum is right. An answer may be as old as the platform states for revocations.
    async fn lookup(&self, key: &KeyHash) -> Result<Option<Tenant>, DirectoryError>;
}

/// One API key and its project, as the directory knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The project that the key belongs to.
    pub project_id: ProjectId,
    /// The key's id, under which grants are recorded and requests are counted.
    pub key_id: KeyId,
    /// What the key may be used for.
    pub scopes: Vec<Scope>,
    /// From when on the key no longer works.
    pub expires_at: Option<Timestamp>,
    /// The key must no longer work.
    pub revoked: bool,
    /// The whole project must not use the API.
    pub suspended: bool,
    /// The version of the project's stream that this was folded to. It only grows: caches refuse an older one.
    pub version: u64,
}

/// The directory did not answer. The caller may try again.
#[derive(Debug, thiserror::Error)]
#[error("the directory of API keys is not available")]
pub struct DirectoryError(#[source] pub Cause);
