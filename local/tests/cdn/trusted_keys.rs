//! The public keys that the CDN accepts.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPublicKey as _;
use rsa::pkcs8::EncodePublicKey as _;
use streamio_local::cdn::{InvalidKeyPair, TrustedKeys};

use crate::signer::{P256, RSA, public_keys};

fn pem_of(id: &str) -> String {
    public_keys().into_iter().find(|(known, _)| *known == id).unwrap().1
}

fn error(pairs: &[(&str, &str)]) -> InvalidKeyPair {
    TrustedKeys::from_pem(pairs.iter().copied()).unwrap_err()
}

#[test]
fn rsa_and_p256_public_keys_are_accepted_in_common_pem_formats() {
    for id in [RSA, P256] {
        TrustedKeys::from_pem([("K-1_a", pem_of(id))]).unwrap();
        TrustedKeys::from_pem([("K1", pem_of(id).replace('\n', "\r\n"))]).unwrap();
    }
    let small = RsaPrivateKey::new(&mut ChaCha20Rng::seed_from_u64(2), 1024).unwrap().to_public_key();
    let pkcs1 = small.to_pkcs1_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    let expected = InvalidKeyPair::RsaBits { id: "K1".into(), bits: 1024 };
    assert_eq!(error(&[("K1", &pkcs1)]), expected, "parsed, but too small");
    let spki = small.to_public_key_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    assert_eq!(error(&[("K1", &spki)]), expected);
}

#[test]
fn the_error_for_an_invalid_key_pair_names_its_fault() {
    let good = pem_of(P256);
    assert_eq!(error(&[]), InvalidKeyPair::None);
    for id in ["", "a b", "K&1", "K=1", "ключ"] {
        assert_eq!(error(&[(id, &good)]), InvalidKeyPair::Id { id: id.into() });
    }
    assert_eq!(error(&[("K1", &good), ("K1", &good)]), InvalidKeyPair::Twice { id: "K1".into() });
    let unreadable = InvalidKeyPair::Unreadable { id: "K1".into() };
    let private = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----\n";
    for pem in ["", "K1", &good[..60], &good.replace("PUBLIC", "PRIVATE"), private] {
        assert_eq!(error(&[("K1", pem)]), unreadable, "{pem}");
    }
    let message = unreadable.to_string();
    assert!(message.contains("K1") && message.contains("PEM"), "{message}");
}
