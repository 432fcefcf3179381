//! RSA signatures with the base blinded.
//!
//! The `rsa` crate does not compute in constant time (RUSTSEC-2023-0071): how long a private-key operation takes
//! depends on the key and on the number that is raised to its power. It matters where someone can make this process
//! sign texts of their choosing, very often, and can measure each time precisely, which is what a tenant of the
//! native platform does who asks for playback URLs. Blinding multiplies that number by a random one first and
//! divides it out afterwards, so that nobody outside knows what was raised, and times of chosen texts say nothing
//! that statistics could use. The signature is the same. It costs an inversion and a public-key operation.
//!
//! The random numbers come from `ChaCha20Rng`, seeded for each signature from the private key, the digest and a
//! counter: unknown to whoever does not hold the key, never the same twice in a process, and without the operating system,
//! which wasm32 does not have. What remains (the exponent itself is not blinded; caches shared with other processes)
//! is met by using P-256, whose implementation is constant-time, or by signing through the host's cryptography,
//! as a Worker does.

use std::sync::atomic::{AtomicU64, Ordering};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::traits::PrivateKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};

use super::HashAlgorithm;

pub(super) struct RsaKey {
    key: RsaPrivateKey,
    blinding_secret: [u8; 32],
    signatures: AtomicU64,
}

impl RsaKey {
    pub(super) fn new(key: RsaPrivateKey) -> Self {
        let blinding_secret = Sha256::new_with_prefix(b"streamio: RSA blinding\0")
            .chain_update(key.d().to_bytes_be())
            .finalize()
            .into();
        Self { key, blinding_secret, signatures: AtomicU64::new(0) }
    }

    pub(super) fn public_key(&self) -> RsaPublicKey {
        self.key.to_public_key()
    }

    pub(super) fn to_pem(&self) -> String {
        self.key.to_pkcs8_pem(LineEnding::LF).expect("a valid key has an encoding").to_string()
    }

    pub(super) fn sign(&self, hash: HashAlgorithm, digest: &[u8]) -> Vec<u8> {
        let mut random = self.blinding(digest);
        self.key
            .sign_with_rng(&mut random, padding(hash), digest)
            .expect("the digest fits its padding, and the padding fits 2048 bits")
    }

    fn blinding(&self, digest: &[u8]) -> ChaCha20Rng {
        let number = self.signatures.fetch_add(1, Ordering::Relaxed);
        let seed = Sha256::new_with_prefix(self.blinding_secret)
            .chain_update(number.to_be_bytes())
            .chain_update(digest)
            .finalize();
        ChaCha20Rng::from_seed(seed.into())
    }
}

/// The digest's name, which PKCS #1 v1.5 puts before the digest.
pub(super) fn padding(hash: HashAlgorithm) -> Pkcs1v15Sign {
    match hash {
        HashAlgorithm::Sha1 => Pkcs1v15Sign::new::<sha1::Sha1>(),
        HashAlgorithm::Sha256 => Pkcs1v15Sign::new::<rsa::sha2::Sha256>(),
    }
}
