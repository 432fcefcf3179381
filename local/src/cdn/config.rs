//! How the CDN is set up.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use streamio_events::timestamp::Timestamp;

use super::base_url::BaseUrl;
use super::trusted_keys::TrustedKeys;

/// Where the CDN learns what time it is. The platform gives the system's clock, a test one that it moves.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How long requests in flight may take when the CDN shuts down, by default.
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
    /// A CDN reached under `base_url` that trusts the signatures of `keys`.
    pub fn new(base_url: BaseUrl, keys: TrustedKeys) -> Self {
        Self { base_url, keys, credentialed_origins: HashSet::new(), drain: DRAIN }
    }

    /// Web origins, such as `https://app.example.com`, whose scripts may read what the viewer's *cookies* allow
    /// (`Access-Control-Allow-Credentials`). None by default: a page of another origin then needs signed URLs, which
    /// scripts of any origin may use.
    #[must_use]
    pub fn with_credentialed_origins(mut self, origins: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.credentialed_origins = origins.into_iter().collect();
        self
    }

    /// How long requests in flight may take after the shutdown began; what is unfinished then is cut off.
    #[must_use]
    pub fn with_drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }
}
