use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts;

use super::digest::digest;
use super::{HashAlgorithm, InvalidKey, KeyKind, pem, rsa_key};

/// A public key that verifies the CDN's signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Rsa(rsa::RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads a key in PEM (`BEGIN PUBLIC KEY`).
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let block = pem::block(text, "PUBLIC KEY").ok_or(InvalidKey::NoKeyFound)?;
        if let Ok(key) = rsa::RsaPublicKey::from_public_key_pem(block) {
            return Self::from_rsa(key);
        }
        let key = p256::PublicKey::from_public_key_pem(block).map_err(|_| InvalidKey::Malformed)?;
        Ok(Self::from_p256(key.into()))
    }

    pub(super) fn from_rsa(key: rsa::RsaPublicKey) -> Result<Self, InvalidKey> {
        let bits = key.n().bits();
        if bits == 2048 { Ok(Self(Kind::Rsa(key))) } else { Err(InvalidKey::RsaSize { bits }) }
    }

    pub(super) fn from_p256(key: p256::ecdsa::VerifyingKey) -> Self {
        Self(Kind::P256(key))
    }

    /// The kind of key.
    pub fn kind(&self) -> KeyKind {
        match self.0 {
            Kind::Rsa(_) => KeyKind::Rsa2048,
            Kind::P256(_) => KeyKind::P256,
        }
    }

    /// The key in PEM (`BEGIN PUBLIC KEY`), the format that CloudFront accepts.
    pub fn to_pem(&self) -> String {
        match &self.0 {
            Kind::Rsa(key) => key.to_public_key_pem(rsa::pkcs8::LineEnding::LF).ok(),
            Kind::P256(key) => p256::PublicKey::from(key).to_public_key_pem(p256::pkcs8::LineEnding::LF).ok(),
        }
        .expect("a valid key has an encoding")
    }

    /// Whether `signature` is valid for `message` and this key.
    pub fn verify(&self, hash: HashAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let digest = digest(hash, message);
        match &self.0 {
            Kind::Rsa(key) => key.verify(rsa_key::padding(hash), &digest, signature).is_ok(),
            Kind::P256(key) => p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
        }
    }
}
