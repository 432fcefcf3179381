//! The secret of a deployment from which keys are derived, so that none of them has to be stored.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The fewest bytes of a secret.
const MIN_BYTES: usize = 32;

/// A secret that is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret has {0} bytes; it needs at least {MIN_BYTES} random ones")]
pub struct ShortSecret(usize);

/// A secret from which keys are derived.
#[derive(Clone)]
pub struct RootSecret(Hmac<Sha256>);

impl fmt::Debug for RootSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RootSecret(…)")
    }
}

impl RootSecret {
    /// The secret with these bytes, at least 32 random ones.
    pub fn new(secret: &[u8]) -> Result<Self, ShortSecret> {
        if secret.len() < MIN_BYTES {
            return Err(ShortSecret(secret.len()));
        }
        Ok(Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length")))
    }

    /// The key of what `parts` name: HMAC-SHA256 of them, each followed by a zero byte. None of them contains a zero byte.
    pub fn derive(&self, parts: &[&str]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.finalize().into_bytes().into()
    }
}
