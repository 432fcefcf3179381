//! Keys: all documented PEM formats are parsed, keys that CloudFront rejects are refused, generated keys round-trip.

use proptest::prelude::*;
use streamio_edge::sign::key::{
    HashAlgorithm, InvalidKey, InvalidKeyPairs, KeyKind, KeyPairs, PrivateKey, PublicKey,
};

/// A key from `tests/signing/keys`, used in tests only.
pub(crate) fn fixture(name: &str) -> String {
    let path = format!("{}/tests/signing/keys/test-only-{name}.pem", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn all_pem_formats_of_a_key_give_the_same_key() {
    let forms = [
        ("rsa-2048", "pkcs8", KeyKind::Rsa2048),
        ("rsa-2048", "pkcs1", KeyKind::Rsa2048),
        ("p256", "pkcs8", KeyKind::P256),
        ("p256", "sec1", KeyKind::P256),
    ];
    for (name, form, kind) in forms {
        let key = PrivateKey::from_pem(&fixture(&format!("{name}.{form}"))).unwrap();
        let public = fixture(&format!("{name}.public"));
        assert_eq!((key.kind(), key.public_key().kind()), (kind, kind), "{name} {form}");
        assert_eq!(key.to_pem(), fixture(&format!("{name}.pkcs8")), "{name} {form}");
        assert_eq!(key.public_key().to_pem(), public, "{name} {form}");
        assert_eq!(PublicKey::from_pem(&public), Ok(key.public_key()), "{name} {form}");
    }
}

#[test]
fn text_around_the_key_and_windows_line_ends_do_not_matter() {
    let text =
        format!("Bag Attributes\n  name: cdn\n{}\ntrailing", fixture("rsa-2048.pkcs8")).replace('\n', "\r\n");
    assert_eq!(PrivateKey::from_pem(&text).unwrap().to_pem(), fixture("rsa-2048.pkcs8"));
}

#[test]
fn keys_that_cloudfront_rejects_are_refused_with_the_reason() {
    let private = |text: &str| PrivateKey::from_pem(text).map(|_| ()).unwrap_err();
    assert_eq!(private(&fixture("rsa-1024.pkcs8")), InvalidKey::RsaSize { bits: 1024 });
    assert_eq!(private(&fixture("p384.pkcs8")), InvalidKey::Malformed);
    assert_eq!(private(&fixture("ed25519.pkcs8")), InvalidKey::Malformed);
    assert_eq!(private(&fixture("encrypted.pkcs8")), InvalidKey::Encrypted);
    assert_eq!(private(&fixture("rsa-2048.public")), InvalidKey::NoKeyFound);
    assert_eq!(private(""), InvalidKey::NoKeyFound);
    assert_eq!(
        private("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        InvalidKey::Malformed
    );
    assert_eq!(private(fixture("p256.pkcs8").split("-----END").next().unwrap()), InvalidKey::NoKeyFound);
    assert_eq!(PublicKey::from_pem(&fixture("p256.pkcs8")), Err(InvalidKey::NoKeyFound));
}

#[test]
fn debug_shows_the_kind_of_a_private_key_and_nothing_else() {
    let key = || PrivateKey::from_pem(&fixture("p256.sec1")).unwrap();
    assert_eq!(format!("{:?}", key()), "PrivateKey(P256)");
    let pairs = KeyPairs::new("K1", [("K1".to_owned(), key())]).unwrap();
    assert_eq!(format!("{pairs:?}"), r#"KeyPairs { active: "K1", pairs: {"K1": PrivateKey(P256)} }"#);
}

#[test]
fn a_generated_key_depends_on_its_seed_only_and_round_trips() {
    for kind in [KeyKind::Rsa2048, KeyKind::P256] {
        let key = PrivateKey::generate(kind, [1; 32]);
        assert_eq!(key.kind(), kind);
        assert_eq!(PrivateKey::generate(kind, [1; 32]).to_pem(), key.to_pem());
        assert_eq!(PrivateKey::from_pem(&key.to_pem()).unwrap().to_pem(), key.to_pem());
        assert_eq!(PublicKey::from_pem(&key.public_key().to_pem()), Ok(key.public_key()));
        assert_ne!(PrivateKey::generate(kind, [2; 32]).to_pem(), key.to_pem());
    }
}

#[test]
fn the_same_text_has_the_same_signature_each_time() {
    for name in ["rsa-2048.pkcs8", "p256.pkcs8"] {
        let key = PrivateKey::from_pem(&fixture(name)).unwrap();
        for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256] {
            assert_eq!(key.sign(hash, b"text"), key.sign(hash, b"text"));
        }
    }
}

/// RFC 6979, appendix A.2.5: P-256 with SHA-256, message "sample".
#[test]
fn ecdsa_takes_its_nonce_from_rfc_6979() {
    let hex = |text: &str| base16ct::upper::decode_vec(text).unwrap();
    let scalar = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let key = p256::SecretKey::from_slice(&scalar).unwrap();
    let pem = p256::pkcs8::EncodePrivateKey::to_pkcs8_pem(&key, p256::pkcs8::LineEnding::LF).unwrap();
    let signature = PrivateKey::from_pem(&pem).unwrap().sign(HashAlgorithm::Sha256, b"sample");
    // DER: a sequence of two integers, each with a leading zero byte because its first bit is set.
    let expected = [
        hex("3046"),
        hex("022100EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"),
        hex("022100F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"),
    ];
    assert_eq!(signature, expected.concat());
}

#[test]
fn key_pairs_without_an_active_key_or_with_invalid_or_repeated_ids_are_refused() {
    let key = || PrivateKey::generate(KeyKind::P256, [1; 32]);
    let pairs = |active: &str, ids: &[&str]| {
        KeyPairs::new(active, ids.iter().map(|id| ((*id).to_owned(), key()))).map(|_| ()).unwrap_err()
    };
    assert_eq!(pairs("K1", &[]), InvalidKeyPairs::ActiveMissing { id: "K1".to_owned() });
    assert_eq!(pairs("K1", &["K2"]), InvalidKeyPairs::ActiveMissing { id: "K1".to_owned() });
    assert_eq!(pairs("K1", &["K1", "K1"]), InvalidKeyPairs::Duplicate { id: "K1".to_owned() });
    for id in ["", "a b", "a&Policy=", "ä", &"a".repeat(65)] {
        assert_eq!(pairs(id, &[id]), InvalidKeyPairs::Id { id: id.to_owned() });
    }
}

#[test]
fn after_a_rotation_the_new_key_signs_and_the_old_one_still_verifies() {
    let key = |seed| PrivateKey::generate(KeyKind::P256, [seed; 32]);
    let before = key(1).sign(HashAlgorithm::Sha1, b"text");
    let pairs = KeyPairs::new("K2", [("K1".to_owned(), key(1)), ("K2".to_owned(), key(2))]).unwrap();
    assert_eq!(pairs.active().0, "K2");
    let public: std::collections::BTreeMap<_, _> = pairs.public_keys().collect();
    assert!(public["K1"].verify(HashAlgorithm::Sha1, b"text", &before));
    assert!(!public["K2"].verify(HashAlgorithm::Sha1, b"text", &before));
    let after = pairs.active().1.sign(HashAlgorithm::Sha1, b"text");
    assert!(public["K2"].verify(HashAlgorithm::Sha1, b"text", &after));
}

proptest! {
    #[test]
    fn any_text_is_a_key_or_refused_without_a_panic(text in ".*", label in "(RSA |EC |ENCRYPTED )?(PRIVATE|PUBLIC) KEY") {
        for text in [text.clone(), format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")] {
            let _ = PrivateKey::from_pem(&text);
            let _ = PublicKey::from_pem(&text);
        }
    }

    #[test]
    fn any_signature_is_verified_or_refused_without_a_panic(signature: Vec<u8>, message: Vec<u8>) {
        for name in ["rsa-2048.public", "p256.public"] {
            let key = PublicKey::from_pem(&fixture(name)).unwrap();
            prop_assert!(!key.verify(HashAlgorithm::Sha256, &message, &signature));
        }
    }
}
