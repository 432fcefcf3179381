//! The KV namespace with the replicated tenants.

use std::error::Error;

use async_trait::async_trait;
use bytes::Bytes;
use worker::kv::KvStore;

use super::log;
use crate::directory::{KeyValueStore, SourceFailures, SourceName};
use crate::ports::Cause;

/// A KV namespace.
pub(super) struct Namespace(pub(super) KvStore);

#[async_trait(?Send)]
impl KeyValueStore for Namespace {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, Cause> {
        let value = self.0.get(name).bytes().await;
        // The runtime's own message is not logged: it may repeat the name, which is the hash of an API key.
        let value = value.map_err(|_| Cause::from("the KV namespace did not answer"))?;
        Ok(value.map(Bytes::from))
    }
}

/// Logs failures of the directory's sources.
pub(super) struct LoggedFailures;

impl SourceFailures for LoggedFailures {
    fn source_failed(&self, source: SourceName, error: &(dyn Error + 'static)) {
        log::failed(&format!("{source} could not be asked for the tenant of an API key"), error);
    }
}
