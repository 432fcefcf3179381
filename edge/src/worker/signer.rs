//! Signatures for the CDN by the host's cryptography: in Wasm an RSA signature would take ten times as long.

use std::cell::OnceCell;

use async_trait::async_trait;
use wasm_bindgen::JsValue;

use super::host::{self, KeyObject};
use crate::sign::key::{HashAlgorithm, KeySignature, UrlSigner, UrlSignerError};

/// The active key pair. The key is read once, with the first signature.
pub(super) struct HostSigner {
    key_pair_id: String,
    pem: String,
    key: OnceCell<KeyObject>,
}

impl HostSigner {
    pub(super) fn new(key_pair_id: String, pem: String) -> Self {
        Self { key_pair_id, pem, key: OnceCell::new() }
    }

    fn key(&self) -> Result<&KeyObject, UrlSignerError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = read(&self.pem)?;
        Ok(self.key.get_or_init(|| key))
    }
}

#[async_trait(?Send)]
impl UrlSigner for HostSigner {
    async fn sign(&self, hash: HashAlgorithm, message: &[u8]) -> Result<KeySignature, UrlSignerError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => "sha1",
            HashAlgorithm::Sha256 => "sha256",
        };
        let signature = host::sign(algorithm, message, self.key()?)
            .map_err(|_| UrlSignerError("node:crypto did not sign".into()))?;
        Ok(KeySignature { key_pair_id: self.key_pair_id.clone(), signature: signature.to_vec() })
    }
}

/// The host's own message is not repeated: nobody promises that it holds nothing of the key.
fn read(pem: &str) -> Result<KeyObject, UrlSignerError> {
    let refused = |_: JsValue| UrlSignerError("CDN_PRIVATE_KEY is no private key in PEM".into());
    let key = host::read_key(pem).map_err(refused)?;
    let details = key.details();
    let fits = match key.kind().as_deref() {
        Some("rsa") => details.modulus_length() == Some(2048),
        Some("ec") => details.named_curve().as_deref() == Some("prime256v1"),
        _ => false,
    };
    if fits {
        Ok(key)
    } else {
        Err(UrlSignerError("CDN_PRIVATE_KEY must be an RSA key of 2048 bits or an ECDSA key on P-256".into()))
    }
}
