//! The configuration, the ports and the signer that all calls share.

use crate::config::{EdgeConfig, InvalidConfig, ValidConfig};
use crate::known_keys::KnownKeys;
use crate::ports::Ports;
use crate::sign::s3::BucketSigner;

/// The configuration, the ports and the signer that all calls share.
pub(crate) struct Services {
    pub(crate) config: EdgeConfig,
    pub(crate) ports: Ports,
    /// The Idempotency-Keys of recent grants.
    pub(crate) known_keys: KnownKeys,
    /// Signs requests for RAW.
    pub(crate) raw: BucketSigner,
    /// The CDN's URL without a slash at its end.
    pub(crate) cdn_base_url: String,
    /// The API's own URL without a slash at its end, if it is configured.
    pub(crate) public_url: Option<String>,
}

impl Services {
    /// Validates `config`.
    pub(crate) fn new(config: EdgeConfig, ports: Ports) -> Result<Self, InvalidConfig> {
        let ValidConfig { bucket, cdn_base_url, public_url } = config.validate()?;
        let raw = BucketSigner::new(bucket, config.s3.credentials.clone());
        Ok(Self { config, ports, known_keys: KnownKeys::new(), raw, cdn_base_url, public_url })
    }
}
