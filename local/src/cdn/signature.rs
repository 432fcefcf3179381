//! CloudFront signatures: their encoding in URLs and their verification.
//!
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html>

use base64::Engine as _;
use base64::alphabet::{Alphabet, Symbol};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use p256::ecdsa::DerSignature;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::Pkcs1v15Sign;
use rsa::sha2::{Digest as _, Sha256};
use sha1::Sha1;

use super::trusted_keys::PublicKey;

/// CloudFront's variant of base64, which replaces the characters that are special in URLs: `+` by `-`, `/` by `~`, `=`
/// by `_`. Decoding is strict: every byte sequence has exactly one encoding, including the padding, so that every
/// changed character is detected.
const URL_BASE64: GeneralPurpose = GeneralPurpose::new(
    &match Alphabet::new_with_padding(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~",
        match Symbol::new(b'_') {
            Some(padding) => padding,
            None => panic!("an underscore is printable"),
        },
    ) {
        Ok(alphabet) => alphabet,
        Err(_) => panic!("the characters are 64 different ones"),
    },
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(false),
);

/// Decodes a policy or a signature.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_BASE64.decode(text).ok()
}

/// The hash algorithm of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-1, the default of CloudFront.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl HashAlgorithm {
    /// Parses the value of `Hash-Algorithm` or `CloudFront-Hash-Algorithm`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "SHA1" => Some(Self::Sha1),
            "SHA256" => Some(Self::Sha256),
            _ => None,
        }
    }
}

impl PublicKey {
    /// Whether `signature` is a valid signature of `message` by this key: PKCS#1 v1.5 for RSA, DER-encoded for ECDSA.
    pub(super) fn verifies(&self, hash: HashAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let (digest, rsa_padding) = match hash {
            HashAlgorithm::Sha1 => (Sha1::digest(message).to_vec(), Pkcs1v15Sign::new::<Sha1>()),
            HashAlgorithm::Sha256 => (Sha256::digest(message).to_vec(), Pkcs1v15Sign::new::<Sha256>()),
        };
        match self {
            Self::Rsa(key) => key.verify(rsa_padding, &digest, signature).is_ok(),
            Self::P256(key) => DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoding_reverses_base64_with_three_characters_replaced(bytes: Vec<u8>) {
            let text = STANDARD.encode(&bytes).replace('+', "-").replace('=', "_").replace('/', "~");
            prop_assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn bytes_have_exactly_one_encoding(bytes in prop::collection::vec(any::<u8>(), 1..40), at: prop::sample::Index, replacement: char) {
            let text: Vec<char> = URL_BASE64.encode(&bytes).chars().collect();
            let at = at.index(text.len());
            prop_assume!(text[at] != replacement);
            let mut changed = text.clone();
            changed[at] = replacement;
            prop_assert_ne!(decode(&changed.iter().collect::<String>()), Some(bytes.clone()));
            let mut shorter = text;
            shorter.remove(at);
            prop_assert_ne!(decode(&shorter.iter().collect::<String>()), Some(bytes));
        }
    }

    #[test]
    fn standard_and_url_safe_base64_are_refused() {
        let bytes = [0xfb, 0xff, 0xfe, 0xff];
        assert_eq!(STANDARD.encode(bytes), "+//+/w==");
        assert_eq!(decode("-~~-~w__"), Some(bytes.to_vec()));
        for foreign in ["+//+/w==", "-__-_w==", "-__-_w", "-~~-~w", "-~~-~w%5F%5F", "-~~- ~w__"] {
            assert_eq!(decode(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_hash_algorithm_name_must_match_exactly() {
        assert_eq!(HashAlgorithm::parse("SHA1"), Some(HashAlgorithm::Sha1));
        assert_eq!(HashAlgorithm::parse("SHA256"), Some(HashAlgorithm::Sha256));
        for other in ["", "sha256", "SHA-256", "SHA512", "SHA1 ", "MD5"] {
            assert_eq!(HashAlgorithm::parse(other), None, "{other:?}");
        }
    }
}
