use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lru::LruCache;

use super::{HashAlgorithm, KeySignature, UrlSigner, UrlSignerError};
use crate::bounded;

/// A signer that remembers what it has signed, so that identical policies share one signature: one file's or stream's
/// until the same second, which [`CdnConfig::expiry_bucket`](crate::config::CdnConfig::expiry_bucket) makes frequent.
///
/// It keeps the most recently used signatures. Each takes the message (the policy's text, 200 to 400 bytes, at most
/// 3.5 KiB), the signature (72 or 256 bytes) and about 150 bytes around them: half a megabyte at the default
/// capacity, four at the very most. Errors are not kept.
///
/// Two requests that want the same signature at the same time, before there is one, both sign: one that waited for the
/// other's promise would hang on a host that ends a request's work with the request, as Workers do.
///
/// The signatures are those of the key pair that was active when they were made. Whoever activates another one makes
/// another `SharedSigner` too; until then the old pair must stay trusted, as for every URL that is already out.
///
/// `Debug` shows how many signatures there are.
pub struct SharedSigner<S: ?Sized> {
    /// By the hash's tag and the message.
    signatures: Mutex<LruCache<Box<[u8]>, KeySignature>>,
    signer: S,
}

impl<S> SharedSigner<S> {
    /// How many signatures are kept unless something else is said.
    pub const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

    /// Remembers what `signer` signs, up to [`SharedSigner::DEFAULT_CAPACITY`] signatures.
    pub fn new(signer: S) -> Self {
        Self::with_capacity(signer, Self::DEFAULT_CAPACITY)
    }

    /// Remembers what `signer` signs, up to `capacity` signatures.
    pub fn with_capacity(signer: S, capacity: NonZeroUsize) -> Self {
        Self { signatures: Mutex::new(bounded::cache(capacity)), signer }
    }
}

impl<S: ?Sized> SharedSigner<S> {
    /// How many signatures are kept now.
    pub fn kept(&self) -> usize {
        self.signatures().len()
    }

    fn signatures(&self) -> MutexGuard<'_, LruCache<Box<[u8]>, KeySignature>> {
        self.signatures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl<S: UrlSigner + ?Sized> UrlSigner for SharedSigner<S> {
    async fn sign(&self, hash: HashAlgorithm, message: &[u8]) -> Result<KeySignature, UrlSignerError> {
        let key = tagged(hash, message);
        if let Some(signature) = self.signatures().get(&key) {
            return Ok(signature.clone());
        }
        let signature = self.signer.sign(hash, message).await?;
        self.signatures().put(key, signature.clone());
        Ok(signature)
    }
}

impl<S: ?Sized> fmt::Debug for SharedSigner<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedSigner").field("kept", &self.kept()).finish_non_exhaustive()
    }
}

fn tagged(hash: HashAlgorithm, message: &[u8]) -> Box<[u8]> {
    let tag = match hash {
        HashAlgorithm::Sha1 => b'1',
        HashAlgorithm::Sha256 => b'2',
    };
    let mut key = Vec::with_capacity(1 + message.len());
    key.push(tag);
    key.extend_from_slice(message);
    key.into_boxed_slice()
}
