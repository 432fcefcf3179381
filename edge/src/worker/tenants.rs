//! The tenants near the edge: the Worker's KV namespace.

use std::error::Error;

use async_trait::async_trait;
use bytes::Bytes;
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::{log, runtime};
use crate::directory::{KeyValueStore, SourceFailures, SourceName};
use crate::ports::Cause;

/// A KV namespace.
pub(super) struct Namespace(pub(super) runtime::Namespace);

#[async_trait(?Send)]
impl KeyValueStore for Namespace {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, Cause> {
        let failed = |_: JsValue| Cause::from("the KV namespace did not answer");
        let value = JsFuture::from(self.0.get(name, "arrayBuffer").map_err(failed)?).await.map_err(failed)?;
        let buffer = value.dyn_into::<ArrayBuffer>().ok();
        Ok(buffer.map(|buffer| Uint8Array::new(&buffer).to_vec().into()))
    }
}

/// Tells the operator's log.
pub(super) struct LoggedFailures;

impl SourceFailures for LoggedFailures {
    fn source_failed(&self, source: SourceName, error: &(dyn Error + 'static)) {
        log::failed(&format!("{source} did not say whose an API key is"), error);
    }
}
