//! The ports: what the API needs of its host and of other services, as traits.
//!
//! Adapters are elsewhere: for the home region in [`home`](crate::home), for Workers in `worker`, for one machine in
//! `streamio-local`. The port to the home region itself is [`streamio_events::home::Home`].

pub mod background;
mod cause;
pub mod directory;
pub mod journal;
pub mod key_value_store;
pub mod outbound;
pub mod pause;
pub mod tenant_source;

use std::sync::Arc;

pub use streamio_events::clock::Clock;
pub use streamio_events::home::Home;
pub use streamio_events::thread_safe::ThreadSafe;

pub use self::background::{Background, BackgroundTask};
pub use self::cause::Cause;
use self::directory::Directory;
use self::journal::Journal;
use self::outbound::Outbound;
pub use self::pause::Pause;
use crate::sign::key::UrlSigner;

/// Everything outside of this crate that the API uses. Cloning is cheap.
#[derive(Clone)]
pub struct Ports {
    /// API keys and their tenants.
    pub directory: Arc<dyn Directory>,
    /// Where grants are recorded.
    pub journal: Arc<dyn Journal>,
    /// Videos, events and commands.
    pub home: Arc<dyn Home>,
    /// Requests to the object store.
    pub outbound: Arc<dyn Outbound>,
    /// Signs URLs of the CDN. [`KeyPairs`](crate::sign::key::KeyPairs) needs no host.
    pub url_signer: Arc<dyn UrlSigner>,
}
