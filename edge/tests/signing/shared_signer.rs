//! A shared signature is the one that the wrapped signer makes, is made once while it is kept, and errors are not kept.

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

use crate::cloudfront::{hashes, now, wishes};

/// Key pairs that count what they sign and can fail.
struct Counting {
    pairs: KeyPairs,
    signed: Arc<AtomicUsize>,
    is_down: Arc<AtomicBool>,
}

impl Counting {
    fn new() -> Self {
        let pair = ("K1".to_owned(), PrivateKey::generate(KeyKind::P256, [5; 32]));
        Self { pairs: KeyPairs::new("K1", [pair]).unwrap(), signed: Arc::default(), is_down: Arc::default() }
    }
}

#[async_trait]
impl UrlSigner for Counting {
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
    fn a_shared_signature_is_the_wrapped_signers_and_is_made_once(wish in wishes(), hash in hashes()) {
        let (plain, counting) = (Counting::new(), Counting::new());
        let signed = counting.signed.clone();
        let shared = SharedSigner::new(counting);
        let first = now(cloudfront::sign(&shared, hash, wish.policy())).unwrap();
        let again = now(cloudfront::sign(&shared, hash, wish.policy())).unwrap();
        let alone = now(cloudfront::sign(&plain, hash, wish.policy())).unwrap();
        prop_assert!(first == again && first == alone);
        prop_assert_eq!(signed.load(Ordering::Relaxed), 1);
        let signature = now(shared.sign(hash, wish.policy().to_json().as_bytes())).unwrap();
        let (_, key) = plain.pairs.active();
        prop_assert!(key.public_key().verify(hash, wish.policy().to_json().as_bytes(), &signature.signature));
    }

    #[test]
    fn any_messages_get_their_own_signatures_from_a_cache_of_bounded_size(
        messages in prop::collection::vec((hashes(), prop::collection::vec(any::<u8>(), 0..3)), 1..60),
        size in 1..8_usize,
    ) {
        let (plain, counting) = (Counting::new(), Counting::new());
        let signed = counting.signed.clone();
        let shared = SharedSigner::with_capacity(counting, capacity(size));
        let mut distinct = HashSet::new();
        for (hash, message) in &messages {
            distinct.insert((*hash == HashAlgorithm::Sha1, message));
            let theirs = now(plain.sign(*hash, message)).unwrap();
            prop_assert!(now(shared.sign(*hash, message)).unwrap() == theirs);
            prop_assert!(shared.kept() <= size);
        }
        prop_assert_eq!(shared.kept(), distinct.len().min(size));
        if distinct.len() <= size {
            prop_assert_eq!(signed.load(Ordering::Relaxed), distinct.len());
        }
    }
}

#[test]
fn the_signature_that_was_not_used_for_longest_makes_room() {
    let counting = Counting::new();
    let signed = counting.signed.clone();
    let shared = SharedSigner::with_capacity(counting, capacity(2));
    let count_after = |message: &[u8]| {
        now(shared.sign(HashAlgorithm::Sha256, message)).unwrap();
        signed.load(Ordering::Relaxed)
    };
    let counts = [&b"a"[..], b"b", b"a", b"c", b"a", b"b"].map(count_after);
    assert_eq!(counts, [1, 2, 2, 3, 3, 4]);
}

#[test]
fn an_error_is_not_kept() {
    let counting = Counting::new();
    let is_down = counting.is_down.clone();
    let shared = SharedSigner::new(counting);
    is_down.store(true, Ordering::Relaxed);
    assert!(now(shared.sign(HashAlgorithm::Sha1, b"a")).is_err());
    assert_eq!(shared.kept(), 0);
    is_down.store(false, Ordering::Relaxed);
    assert!(now(shared.sign(HashAlgorithm::Sha1, b"a")).is_ok());
}

#[test]
fn threads_share_signatures() {
    let counting = Counting::new();
    let signed = counting.signed.clone();
    let shared = SharedSigner::new(counting);
    let expected = now(shared.sign(HashAlgorithm::Sha256, b"0")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..50 {
                    let message = (number % 5).to_string();
                    let signature = now(shared.sign(HashAlgorithm::Sha256, message.as_bytes())).unwrap();
                    assert_eq!(signature == expected, number % 5 == 0);
                }
            });
        }
    });
    assert_eq!(shared.kept(), 5);
    // Each message but the first may have been missed by all four at once.
    assert!(signed.load(Ordering::Relaxed) <= 1 + 4 * 4);
}

#[test]
fn debug_shows_how_many_signatures_there_are_and_nothing_of_them() {
    let shared = SharedSigner::new(Counting::new());
    let url = "https://cdn.example/processed/acme/hidden.mp4";
    now(cloudfront::sign(&shared, HashAlgorithm::Sha256, Policy::canned(url, 100).unwrap())).unwrap();
    assert_eq!(format!("{shared:?}"), "SharedSigner { kept: 1, .. }");
}
