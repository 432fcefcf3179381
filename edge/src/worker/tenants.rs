//! The tenants near the edge: the Worker's KV namespace.

use std::error::Error;

use async_trait::async_trait;
use bytes::Bytes;
use worker::KvStore;

use super::log;
use crate::directory::{KeyValueStore, SourceFailures, SourceName};
use crate::port::Cause;

/// A KV namespace.
pub(super) struct Namespace(pub(super) KvStore);

#[async_trait(?Send)]
impl KeyValueStore for Namespace {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, Cause> {
        let value = self.0.get(name).bytes().await.map_err(|error| Cause::from(error.to_string()))?;
        Ok(value.map(Bytes::from))
    }
}

/// Tells the operator's log.
pub(super) struct LoggedFailures;

impl SourceFailures for LoggedFailures {
    fn source_failed(&self, source: SourceName, error: &(dyn Error + 'static)) {
        log::failed(&format!("{source} did not say whose an API key is"), error);
    }
}
