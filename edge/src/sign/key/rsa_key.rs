//! RSA signatures with base blinding.
//!
//! The `rsa` crate does not compute in constant time (RUSTSEC-2023-0071): the duration of a private-key operation
//! depends on the key and on the base of the exponentiation. An attacker who can have many chosen texts signed and can
//! measure the duration precisely could learn the key; a tenant of the native platform who requests playback URLs can
//! do this. Blinding multiplies the base by a random number and divides it out afterwards, so the base is unknown to the
//! attacker. The signature stays the same. It costs one modular inversion and one public-key operation.
//!
//! The random numbers come from `ChaCha20Rng`, seeded for each signature from the private key, the digest and a counter:
//! unpredictable without the key, never repeated within a process, and independent of an operating system, which wasm32
//! lacks. Remaining side channels (the exponent is not blinded; caches are shared with other processes) are avoided by
//! using P-256, whose implementation is constant-time, or by signing with the host's cryptography, as the Worker does.

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
        let mut random = self.blinding_rng(digest);
        self.key
            .sign_with_rng(&mut random, padding(hash), digest)
            .expect("the digest fits its padding, and the padding fits 2048 bits")
    }

    fn blinding_rng(&self, digest: &[u8]) -> ChaCha20Rng {
        let number = self.signatures.fetch_add(1, Ordering::Relaxed);
        let seed = Sha256::new_with_prefix(self.blinding_secret)
            .chain_update(number.to_be_bytes())
            .chain_update(digest)
            .finalize();
        ChaCha20Rng::from_seed(seed.into())
    }
}

/// The padding scheme, which names the hash algorithm before the digest.
pub(super) fn padding(hash: HashAlgorithm) -> Pkcs1v15Sign {
    match hash {
        HashAlgorithm::Sha1 => Pkcs1v15Sign::new::<sha1::Sha1>(),
        HashAlgorithm::Sha256 => Pkcs1v15Sign::new::<rsa::sha2::Sha256>(),
    }
}
