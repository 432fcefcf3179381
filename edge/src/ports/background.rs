//! Work that continues after the response.

use std::future::Future;
use std::pin::Pin;

use streamio_events::thread_safe::ThreadSafe;

/// Work that continues after the response. Threads may take it over from one another.
#[cfg(not(target_arch = "wasm32"))]
pub type BackgroundTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work that continues after the response.
#[cfg(target_arch = "wasm32")]
pub type BackgroundTask = Pin<Box<dyn Future<Output = ()>>>;

/// Runs work that continues after the response to the request that started it.
pub trait Background: ThreadSafe {
    /// Runs `task` for a short while (some tens of seconds). The task is dropped when the process or isolate ends first:
    /// only work that is detected and done again later may be started here.
    fn spawn(&self, task: BackgroundTask);
}
