//! A shared signature equals the wrapped signer's, is made once while it is cached, and errors are not cached.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use proptest::prelude::*;
use streamio_edge::sign::cloudfront;
use streamio_edge::sign::key::{
    HashAlgorithm, KeyKind, KeyPairs, KeySignature, PrivateKey, SharedSigner, UrlSigner, UrlSignerError,
};
use streamio_edge::sign::policy::Policy;

use crate::cloudfront::{block_on, hashes, policy_params};

/// Key pairs that count what they sign and can fail.
struct CountingSigner {
    pairs: KeyPairs,
    signed: Arc<AtomicUsize>,
    is_down: Arc<AtomicBool>,
}

impl CountingSigner {
    fn new() -> Self {
        let pair = ("K1".to_owned(), PrivateKey::generate(KeyKind::P256, [5; 32]));
        Self { pairs: KeyPairs::new("K1", [pair]).unwrap(), signed: Arc::default(), is_down: Arc::default() }
    }
}

#[async_trait]
impl UrlSigner for CountingSigner {
    async fn sign(&self, hash: HashAlgorithm, message: &[u8]) -> Result<KeySignature, UrlSignerError> {
        self.signed.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) {
            return Err(UrlSignerError("down".into()));
        }
        self.pairs.sign(hash, message).await
    }
}

fn capacity(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_shared_signature_equals_the_wrapped_signers_and_is_made_once(params in policy_params(), hash in hashes()) {
        let (plain, counting) = (CountingSigner::new(), CountingSigner::new());
        let signed = counting.signed.clone();
        let shared = SharedSigner::new(counting);
        let first = block_on(cloudfront::sign(&shared, hash, params.policy())).unwrap();
        let again = block_on(cloudfront::sign(&shared, hash, params.policy())).unwrap();
        let alone = block_on(cloudfront::sign(&plain, hash, params.policy())).unwrap();
        prop_assert!(first == again && first == alone);
        prop_assert_eq!(signed.load(Ordering::Relaxed), 1);
        let signature = block_on(shared.sign(hash, params.policy().to_json().as_bytes())).unwrap();
        let (_, key) = plain.pairs.active();
        prop_assert!(key.public_key().verify(hash, params.policy().to_json().as_bytes(), &signature.signature));
    }

    #[test]
    fn every_message_gets_its_own_signature_and_the_cache_is_bounded(
        messages in prop::collection::vec((hashes(), prop::collection::vec(any::<u8>(), 0..3)), 1..60),
        size in 1..8_usize,
    ) {
        let (plain, counting) = (CountingSigner::new(), CountingSigner::new());
        let signed = counting.signed.clone();
        let shared = SharedSigner::with_capacity(counting, capacity(size));
        let mut distinct = HashSet::new();
        for (hash, message) in &messages {
            distinct.insert((*hash == HashAlgorithm::Sha1, message));
            let expected = block_on(plain.sign(*hash, message)).unwrap();
            prop_assert!(block_on(shared.sign(*hash, message)).unwrap() == expected);
            prop_assert!(shared.cached() <= size);
        }
        prop_assert_eq!(shared.cached(), distinct.len().min(size));
        if distinct.len() <= size {
            prop_assert_eq!(signed.load(Ordering::Relaxed), distinct.len());
        }
    }
}

#[test]
fn the_least_recently_used_signature_is_evicted() {
    let counting = CountingSigner::new();
    let signed = counting.signed.clone();
    let shared = SharedSigner::with_capacity(counting, capacity(2));
    let count_after = |message: &[u8]| {
        block_on(shared.sign(HashAlgorithm::Sha256, message)).unwrap();
        signed.load(Ordering::Relaxed)
    };
    let counts = [&b"a"[..], b"b", b"a", b"c", b"a", b"b"].map(count_after);
    assert_eq!(counts, [1, 2, 2, 3, 3, 4]);
}

#[test]
fn an_error_is_not_cached() {
    let counting = CountingSigner::new();
    let is_down = counting.is_down.clone();
    let shared = SharedSigner::new(counting);
    is_down.store(true, Ordering::Relaxed);
    assert!(block_on(shared.sign(HashAlgorithm::Sha1, b"a")).is_err());
    assert_eq!(shared.cached(), 0);
    is_down.store(false, Ordering::Relaxed);
    assert!(block_on(shared.sign(HashAlgorithm::Sha1, b"a")).is_ok());
}

#[test]
fn threads_share_signatures() {
    let counting = CountingSigner::new();
    let signed = counting.signed.clone();
    let shared = SharedSigner::new(counting);
    let expected = block_on(shared.sign(HashAlgorithm::Sha256, b"0")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..50 {
                    let message = (number % 5).to_string();
                    let signature = block_on(shared.sign(HashAlgorithm::Sha256, message.as_bytes())).unwrap();
                    assert_eq!(signature == expected, number % 5 == 0);
                }
            });
        }
    });
    assert_eq!(shared.cached(), 5);
    // All four threads may have missed each message but the first at the same time.
    assert!(signed.load(Ordering::Relaxed) <= 1 + 4 * 4);
}

#[test]
fn debug_shows_only_the_number_of_signatures() {
    let shared = SharedSigner::new(CountingSigner::new());
    let url = "https://cdn.example/processed/acme/hidden.mp4";
    block_on(cloudfront::sign(&shared, HashAlgorithm::Sha256, Policy::canned(url, 100).unwrap())).unwrap();
    assert_eq!(format!("{shared:?}"), "SharedSigner { cached: 1, .. }");
}
