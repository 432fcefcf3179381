//! The generated keys of one cloud.

use crate::cdn::PlaybackKey;
use crate::request_id::random_hex;
use crate::s3::AccessKey;

/// The generated keys of one cloud.
pub(super) struct Keys {
    /// The access key of functions and workers.
    pub(super) role: AccessKey,
    /// The access key of the edge for the home region and Kinesis.
    pub(super) edge: AccessKey,
    /// The access key of the operator.
    pub(super) operator: AccessKey,
    /// The access key that signs upload URLs.
    pub(super) edge_s3: AccessKey,
    /// The key pair that signs playback URLs.
    pub(super) playback: PlaybackKey,
}

impl Keys {
    /// Generates all keys.
    pub(super) fn generate() -> Self {
        let key = || AccessKey {
            id: format!("AKIA{}", random_hex::<8>().to_uppercase()),
            secret: random_hex::<20>(),
        };
        Self { role: key(), edge: key(), operator: key(), edge_s3: key(), playback: PlaybackKey::generate() }
    }
}
