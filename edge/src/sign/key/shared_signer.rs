use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lru::LruCache;

use super::{HashAlgorithm, KeySignature, UrlSigner, UrlSignerError};
use crate::bounded;

/// A signer with an LRU cache of signatures, so that identical policies (the same files and expiry) are signed once.
/// [`CdnConfig::expiry_bucket`](crate::config::CdnConfig::expiry_bucket) makes identical policies frequent.
///
/// An entry takes the message (the policy's text, 200 to 400 bytes, at most 3.5 KiB), the signature (72 or 256 bytes)
/// and about 150 bytes of overhead: half a megabyte at the default capacity, at most four. Errors are not cached.
///
/// Concurrent requests that miss the same signature both sign: waiting for the other's future would hang on hosts that
/// drop a request's work when the request ends, as Workers do.
///
/// Signatures are those of the key pair that was active when they were made. Create a new `SharedSigner` when another
/// pair becomes active. Until then the CDN must keep trusting the old pair, as it must for URLs already issued.
///
/// `Debug` shows only the number of cached signatures.
pub struct SharedSigner<S: ?Sized> {
    /// Keyed by the hash algorithm's tag and the message.
    signatures: Mutex<LruCache<Box<[u8]>, KeySignature>>,
    signer: S,
}

impl<S> SharedSigner<S> {
    /// The default number of cached signatures.
    pub const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

    /// Caches up to [`SharedSigner::DEFAULT_CAPACITY`] signatures of `signer`.
    pub fn new(signer: S) -> Self {
        Self::with_capacity(signer, Self::DEFAULT_CAPACITY)
    }

    /// Caches up to `capacity` signatures of `signer`.
    pub fn with_capacity(signer: S, capacity: NonZeroUsize) -> Self {
        Self { signatures: Mutex::new(bounded::cache(capacity)), signer }
    }
}

impl<S: ?Sized> SharedSigner<S> {
    /// The number of cached signatures.
    pub fn cached(&self) -> usize {
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
        let key = cache_key(hash, message);
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
        formatter.debug_struct("SharedSigner").field("cached", &self.cached()).finish_non_exhaustive()
    }
}

fn cache_key(hash: HashAlgorithm, message: &[u8]) -> Box<[u8]> {
    let tag = match hash {
        HashAlgorithm::Sha1 => b'1',
        HashAlgorithm::Sha256 => b'2',
    };
    let mut key = Vec::with_capacity(1 + message.len());
    key.push(tag);
    key.extend_from_slice(message);
    key.into_boxed_slice()
}
