use std::fmt;

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::pkcs8::EncodePrivateKey as _;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;

use super::digest::digest;
use super::rsa_key::RsaKey;
use super::{HashAlgorithm, InvalidKey, KeyKind, PublicKey, pem};

/// A private key that signs for the CDN. `Debug` shows only its kind.
pub struct PrivateKey(Kind);

enum Kind {
    Rsa(Box<RsaKey>),
    P256(p256::ecdsa::SigningKey),
}

impl PrivateKey {
    /// Reads a key in PEM: PKCS #8, PKCS #1 (RSA) or SEC 1 (EC), not encrypted.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        if let Some(block) = pem::block(text, "PRIVATE KEY") {
            if let Ok(key) = rsa::RsaPrivateKey::from_pkcs8_pem(block) {
                return Self::from_rsa(key);
            }
            let key = p256::SecretKey::from_pem(block).map_err(|_| InvalidKey::Malformed)?;
            return Ok(Self(Kind::P256(key.into())));
        }
        if let Some(block) = pem::block(text, "RSA PRIVATE KEY") {
            let key = rsa::RsaPrivateKey::from_pkcs1_pem(block).map_err(|_| InvalidKey::Malformed)?;
            return Self::from_rsa(key);
        }
        if let Some(block) = pem::block(text, "EC PRIVATE KEY") {
            let key = p256::SecretKey::from_sec1_pem(block).map_err(|_| InvalidKey::Malformed)?;
            return Ok(Self(Kind::P256(key.into())));
        }
        let encrypted = pem::block(text, "ENCRYPTED PRIVATE KEY").is_some();
        Err(if encrypted { InvalidKey::Encrypted } else { InvalidKey::NoKeyFound })
    }

    /// Derives a key from `seed`, which must be random and secret. The same seed gives the same key. RSA takes from 0.1
    /// seconds to several seconds.
    pub fn generate(kind: KeyKind, seed: [u8; 32]) -> Self {
        let mut random = ChaCha20Rng::from_seed(seed);
        match kind {
            KeyKind::Rsa2048 => {
                let key =
                    rsa::RsaPrivateKey::new(&mut random, 2048).expect("2048 bits are enough for two primes");
                Self(Kind::Rsa(Box::new(RsaKey::new(key))))
            }
            KeyKind::P256 => loop {
                // Fewer than one in 2^32 strings of 32 bytes are not a valid scalar of the curve.
                let mut scalar = [0; 32];
                random.fill_bytes(&mut scalar);
                if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&scalar) {
                    return Self(Kind::P256(key));
                }
            },
        }
    }

    fn from_rsa(key: rsa::RsaPrivateKey) -> Result<Self, InvalidKey> {
        PublicKey::from_rsa(key.to_public_key())?;
        Ok(Self(Kind::Rsa(Box::new(RsaKey::new(key)))))
    }

    /// The kind of key.
    pub fn kind(&self) -> KeyKind {
        match self.0 {
            Kind::Rsa(_) => KeyKind::Rsa2048,
            Kind::P256(_) => KeyKind::P256,
        }
    }

    /// The matching public key.
    pub fn public_key(&self) -> PublicKey {
        match &self.0 {
            Kind::Rsa(key) => {
                PublicKey::from_rsa(key.public_key()).expect("checked when the private key was made")
            }
            Kind::P256(key) => PublicKey::from_p256(*key.verifying_key()),
        }
    }

    /// The key in PEM (PKCS #8), unencrypted: store it where only this service can read it.
    pub fn to_pem(&self) -> String {
        match &self.0 {
            Kind::Rsa(key) => key.to_pem(),
            Kind::P256(key) => {
                let pem = p256::SecretKey::from(key).to_pkcs8_pem(p256::pkcs8::LineEnding::LF);
                pem.expect("a valid key has an encoding").to_string()
            }
        }
    }

    /// The signature of `message`: PKCS #1 v1.5 for RSA, DER for P-256. Both are deterministic (ECDSA with the nonce of
    /// RFC 6979, using HMAC-SHA-256 for either hash).
    pub fn sign(&self, hash: HashAlgorithm, message: &[u8]) -> Vec<u8> {
        let digest = digest(hash, message);
        match &self.0 {
            Kind::Rsa(key) => key.sign(hash, &digest),
            Kind::P256(key) => {
                let signature: p256::ecdsa::DerSignature =
                    key.sign_prehash(&digest).expect("a digest of 20 or 32 bytes can be signed");
                signature.as_bytes().to_vec()
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({:?})", self.kind())
    }
}
