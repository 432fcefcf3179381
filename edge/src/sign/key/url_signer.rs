use async_trait::async_trait;
use streamio_events::thread_safe::ThreadSafe;

use super::HashAlgorithm;

/// Signs for the CDN with whichever of its keys is active.
///
/// An adapter's contract: the signature is the named key pair's, over the hash of exactly `message`, in the form
/// that CloudFront takes: PKCS #1 v1.5 for RSA, ASN.1 DER for ECDSA (WebCrypto's is the bare pair r ‖ s and must be
/// converted). The same key pair is named as signs, also while keys rotate. An error says nothing about the message
/// or the key.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait UrlSigner: ThreadSafe {
    /// Signs `message`. Asynchronous because a host may sign for us.
    async fn sign(&self, hash: HashAlgorithm, message: &[u8]) -> Result<KeySignature, UrlSignerError>;
}

/// A signature and who made it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySignature {
    /// The id under which the CDN knows the key pair.
    pub key_pair_id: String,
    /// The bare signature.
    pub signature: Vec<u8>,
}

/// The signer could not sign: a fault of the platform, never of the request.
#[derive(Debug, thiserror::Error)]
#[error("the signer of CDN URLs failed")]
pub struct UrlSignerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
