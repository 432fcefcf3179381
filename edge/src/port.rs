//! The ports: what the API needs of the outside, as traits. Each has adapters elsewhere, which the runtime hands over.

use std::error::Error;
use std::sync::Arc;

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
