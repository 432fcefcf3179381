//! Timers.

use std::time::Duration;

use async_trait::async_trait;
use streamio_events::thread_safe::ThreadSafe;

/// Waits.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Pause: ThreadSafe {
    /// Completes after `duration`, not earlier.
    async fn pause(&self, duration: Duration);
}
