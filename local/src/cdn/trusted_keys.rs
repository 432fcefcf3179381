//! The public keys whose signatures the CDN accepts. CloudFront calls this a key group.

use std::collections::HashMap;

use p256::ecdsa::VerifyingKey;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;

/// The only RSA key size that CloudFront accepts, in bits:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html>.
const RSA_BITS: usize = 2048;

/// A public key that verifies signatures.
#[derive(Debug, Clone)]
pub(super) enum PublicKey {
    /// RSA, 2048 bits.
    Rsa(RsaPublicKey),
    /// ECDSA on the curve P-256.
    P256(VerifyingKey),
}

/// Trusted public keys by key pair id. Several, so that keys can be rotated.
#[derive(Debug, Clone)]
pub struct TrustedKeys(HashMap<String, PublicKey>);

/// Why key pairs are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyPair {
    /// No key pair is configured.
    #[error("the CDN has no key pair: configure at least one public key")]
    None,
    /// The id has characters that would have to be encoded in a URL.
    #[error("{id:?} is not a valid key pair id: use letters, digits, '-' and '_'")]
    Id {
        /// The id.
        id: String,
    },
    /// Two keys have the same id.
    #[error("the key pair {id:?} has two public keys; give every key its own id")]
    Twice {
        /// The id.
        id: String,
    },
    /// The PEM text is not an RSA or P-256 public key.
    #[error(
        "the public key of the key pair {id:?} cannot be read: give an RSA or P-256 public key in PEM format"
    )]
    Unreadable {
        /// The key pair's id.
        id: String,
    },
    /// The RSA key has another size.
    #[error("the public key of the key pair {id:?} has {bits} bits; RSA keys must have {RSA_BITS}")]
    RsaBits {
        /// The key pair's id.
        id: String,
        /// The size in bits.
        bits: usize,
    },
}

impl TrustedKeys {
    /// Reads public keys: pairs of a key pair id and a PEM text (`BEGIN PUBLIC KEY`, or `BEGIN RSA PUBLIC KEY`).
    ///
    /// # Errors
    /// [`InvalidKeyPair`] for the first invalid pair.
    pub fn from_pem<I, S, T>(pairs: I) -> Result<Self, InvalidKeyPair>
    where
        I: IntoIterator<Item = (S, T)>,
        S: Into<String>,
        T: AsRef<str>,
    {
        let mut keys = HashMap::new();
        for (id, pem) in pairs {
            let id = id.into();
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if id.is_empty() || !id.bytes().all(letter) {
                return Err(InvalidKeyPair::Id { id });
            }
            let key = PublicKey::from_pem(&id, pem.as_ref())?;
            if keys.contains_key(&id) {
                return Err(InvalidKeyPair::Twice { id });
            }
            keys.insert(id, key);
        }
        if keys.is_empty() { Err(InvalidKeyPair::None) } else { Ok(Self(keys)) }
    }

    /// The key with this key pair id.
    pub(super) fn get(&self, id: &str) -> Option<&PublicKey> {
        self.0.get(id)
    }
}

impl PublicKey {
    fn from_pem(id: &str, pem: &str) -> Result<Self, InvalidKeyPair> {
        let rsa = RsaPublicKey::from_public_key_pem(pem).or_else(|_| RsaPublicKey::from_pkcs1_pem(pem));
        if let Ok(key) = rsa {
            let bits = key.n().bits();
            return if bits == RSA_BITS {
                Ok(Self::Rsa(key))
            } else {
                Err(InvalidKeyPair::RsaBits { id: id.to_owned(), bits })
            };
        }
        match <VerifyingKey as p256::pkcs8::DecodePublicKey>::from_public_key_pem(pem) {
            Ok(key) => Ok(Self::P256(key)),
            Err(_) => Err(InvalidKeyPair::Unreadable { id: id.to_owned() }),
        }
    }
}
