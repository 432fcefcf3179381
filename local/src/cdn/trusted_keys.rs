//! The public keys whose signatures the CDN trusts: what CloudFront calls a key group.

use std::collections::HashMap;

use p256::ecdsa::VerifyingKey;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;

/// The only size of RSA key that CloudFront takes, in bits:
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

/// Trusted public keys by the id of their key pair. Several at once make rotation possible.
#[derive(Debug, Clone)]
pub struct TrustedKeys(HashMap<String, PublicKey>);

/// Why a key pair cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyPair {
    /// No key pair was given.
    #[error("the CDN trusts no key pair: give at least one public key")]
    None,
    /// The id cannot stand in a URL as it is.
    #[error("{id:?} is no key pair id: use letters, digits, '-' and '_'")]
    Id {
        /// The id.
        id: String,
    },
    /// Two keys have the same id.
    #[error("two public keys are given for the key pair {id:?}; every key needs its own id")]
    Twice {
        /// The id.
        id: String,
    },
    /// The PEM text holds no RSA or P-256 public key.
    #[error(
        "the public key of the key pair {id:?} cannot be read: give an RSA or P-256 public key in PEM format"
    )]
    Unreadable {
        /// The key pair's id.
        id: String,
    },
    /// An RSA key of another size.
    #[error("the public key of the key pair {id:?} has {bits} bits; RSA keys need {RSA_BITS}")]
    RsaBits {
        /// The key pair's id.
        id: String,
        /// Its size in bits.
        bits: usize,
    },
}

impl TrustedKeys {
    /// Reads public keys: pairs of a key pair id and a PEM text (`BEGIN PUBLIC KEY`, or `BEGIN RSA PUBLIC KEY`).
    ///
    /// # Errors
    /// [`InvalidKeyPair`] for the first pair that is not right.
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

    /// The key of a key pair.
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
