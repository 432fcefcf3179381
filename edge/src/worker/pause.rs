//! Timers of the runtime.

use std::time::Duration;

use async_trait::async_trait;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::Delay;

use crate::ports::Pause;

/// The runtime's timers.
pub(super) struct RuntimePause;

#[async_trait(?Send)]
impl Pause for RuntimePause {
    async fn pause(&self, duration: Duration) {
        // A Delay wakes only the task that polled it first; the caller may poll this future from another one. So it gets a
        // task of its own.
        let elapsed = future_to_promise(async move {
            Delay::from(duration).await;
            Ok(JsValue::UNDEFINED)
        });
        // The promise cannot be rejected.
        let _ = JsFuture::from(elapsed).await;
    }
}
