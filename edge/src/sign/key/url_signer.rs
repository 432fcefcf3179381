use async_trait::async_trait;
use streamio_events::thread_safe::ThreadSafe;

use super::HashAlgorithm;

/// Signs for the CDN with its active key pair.
///
/// Contract of an adapter: `signature` is over the hash of exactly `message`, in CloudFront's format: PKCS #1 v1.5 for
/// RSA, ASN.1 DER for ECDSA (WebCrypto returns r ‖ s, which must be converted). `key_pair_id` is the pair that signed,
/// also during a rotation. Errors contain neither the message nor the key.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait UrlSigner: ThreadSafe {
    /// Signs `message`. Asynchronous because the host may do it.
    async fn sign(&self, hash: HashAlgorithm, message: &[u8]) -> Result<KeySignature, UrlSignerError>;
}

/// A signature and the id of the key pair that made it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySignature {
    /// The CDN's id of the key pair.
    pub key_pair_id: String,
    /// The signature's bytes, not encoded.
    pub signature: Vec<u8>,
}

/// The signer failed. This is a fault of the platform, never of the request.
#[derive(Debug, thiserror::Error)]
#[error("the signer of CDN URLs failed")]
pub struct UrlSignerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
