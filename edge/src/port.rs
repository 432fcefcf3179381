//! The ports: what the API needs of the outside, as traits. Each has adapters elsewhere, which the runtime hands over.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

pub use crate::sign::key::ThreadSafe;

use crate::commands::Commands;
use crate::directory::Directory;
use crate::journal::Journal;
use crate::outbound::Outbound;
use crate::sign::key::UrlSigner;
use crate::views::Views;

/// The cause behind a port's failure, for the operator. It never reaches a caller.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Everything outside that the API uses. Cloning is cheap.
#[derive(Clone)]
pub struct Ports {
    /// Whose an API key is.
    pub directory: Arc<dyn Directory>,
    /// Where grants are recorded.
    pub journal: Arc<dyn Journal>,
    /// A tenant's videos and events.
    pub views: Arc<dyn Views>,
    /// Decisions about a video.
    pub commands: Arc<dyn Commands>,
    /// Requests to the object store.
    pub outbound: Arc<dyn Outbound>,
    /// Signs URLs of the CDN. [`KeyPairs`](crate::sign::key::KeyPairs) is one that needs no host.
    pub url_signer: Arc<dyn UrlSigner>,
}

/// Work that goes on after the answer has left. On threads it may move between them.
#[cfg(not(target_arch = "wasm32"))]
pub type BackgroundTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work that goes on after the answer has left.
#[cfg(target_arch = "wasm32")]
pub type BackgroundTask = Pin<Box<dyn Future<Output = ()>>>;

/// Lets work go on after the answer to the request that began it has left.
pub trait Background: ThreadSafe {
    /// Runs `task` for a short while (some tens of seconds). It may be dropped before its end, when the process or
    /// isolate ends: nothing may depend on it that is not found undone later.
    fn spawn(&self, task: BackgroundTask);
}

/// Tells the time, to adapters that live longer than one request.
pub trait Clock: ThreadSafe {
    /// The present time.
    fn now(&self) -> Timestamp;
}

/// Waits.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Pause: ThreadSafe {
    /// Completes after `duration`, not earlier.
    async fn pause(&self, duration: Duration);
}
