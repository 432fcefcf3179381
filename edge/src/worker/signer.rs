//! Signatures for the CDN by `node:crypto`: in Wasm an RSA signature would take ten times as long.

use std::cell::OnceCell;

use async_trait::async_trait;
use wasm_bindgen::JsValue;

use super::node_crypto::{self, KeyObject, NodeCrypto};
use crate::sign::key::{HashAlgorithm, KeySignature, UrlSigner, UrlSignerError};

/// The active key pair. The key is parsed once, with the first signature.
pub(super) struct NodeSigner {
    key_pair_id: String,
    pem: String,
    key: OnceCell<(NodeCrypto, KeyObject)>,
}

impl NodeSigner {
    pub(super) fn new(key_pair_id: String, pem: String) -> Self {
        Self { key_pair_id, pem, key: OnceCell::new() }
    }

    fn key(&self) -> Result<&(NodeCrypto, KeyObject), UrlSignerError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let crypto = node_crypto::load()
            .map_err(|_| UrlSignerError("node:crypto is not available: set nodejs_compat".into()))?;
        let key = parse(&crypto, &self.pem)?;
        Ok(self.key.get_or_init(|| (crypto, key)))
    }
}

#[async_trait(?Send)]
impl UrlSigner for NodeSigner {
    async fn sign(&self, hash: HashAlgorithm, message: &[u8]) -> Result<KeySignature, UrlSignerError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => "sha1",
            HashAlgorithm::Sha256 => "sha256",
        };
        let (crypto, key) = self.key()?;
        let signature = crypto
            .sign(algorithm, message, key)
            .map_err(|_| UrlSignerError("node:crypto did not sign".into()))?;
        Ok(KeySignature { key_pair_id: self.key_pair_id.clone(), signature: signature.to_vec() })
    }
}

/// Parses a private key. The error omits the message of `node:crypto`, which might contain a part of the key.
fn parse(crypto: &NodeCrypto, pem: &str) -> Result<KeyObject, UrlSignerError> {
    let invalid = |_: JsValue| UrlSignerError("CDN_PRIVATE_KEY is no private key in PEM".into());
    let key = crypto.create_private_key(pem).map_err(invalid)?;
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
