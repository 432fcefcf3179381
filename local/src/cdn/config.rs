//! The configuration of the CDN.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use streamio_events::timestamp::Timestamp;

use super::base_url::BaseUrl;
use super::trusted_keys::TrustedKeys;

/// Returns the current time. The platform passes the system clock; tests pass a clock that they control.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The default of [`CdnConfig::with_drain`].
const DRAIN: Duration = Duration::from_secs(10);

/// The configuration of a CDN. Built with [`CdnConfig::new`], changed with the `with_…` methods.
#[derive(Debug, Clone)]
pub struct CdnConfig {
    pub(super) base_url: BaseUrl,
    pub(super) keys: TrustedKeys,
    pub(super) credentialed_origins: HashSet<HeaderValue>,
    pub(super) drain: Duration,
}

impl CdnConfig {
    /// A CDN at `base_url` that accepts signatures by `keys`.
    pub fn new(base_url: BaseUrl, keys: TrustedKeys) -> Self {
        Self { base_url, keys, credentialed_origins: HashSet::new(), drain: DRAIN }
    }

    /// The web origins, such as `https://app.example.com`, whose scripts may read responses authorised by *cookies*
    /// (`Access-Control-Allow-Credentials`). None by default: pages of other origins then need signed URLs, which
    /// scripts of any origin may use.
    #[must_use]
    pub fn with_credentialed_origins(mut self, origins: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.credentialed_origins = origins.into_iter().collect();
        self
    }

    /// How long requests in progress may take after the shutdown started; unfinished responses are then cut off. The
    /// default is 10 seconds.
    #[must_use]
    pub fn with_drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }
}
