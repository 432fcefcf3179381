//! The keys of the CDN: private ones that sign URLs, public ones that verify them, and sets of both for rotation.
//!
//! CloudFront takes RSA keys of 2,048 bits and ECDSA keys on P-256.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html>

mod pairs;
mod pem;
mod private;
mod public;
mod rsa_key;
mod url_signer;

pub use pairs::{InvalidKeyPairs, KeyPairs};
pub use private::PrivateKey;
pub use public::PublicKey;
pub use url_signer::{KeySignature, ThreadSafe, UrlSigner, UrlSignerError};

/// The two kinds of key that CloudFront knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with a modulus of 2,048 bits; signatures are PKCS #1 v1.5, always the same for the same text.
    Rsa2048,
    /// ECDSA on the curve P-256; signatures are ASN.1 DER. About twenty times faster to sign with than RSA.
    P256,
}

/// The hash of the policy that is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashAlgorithm {
    /// What CloudFront assumes where nothing else is said.
    #[default]
    Sha1,
    /// Said by `Hash-Algorithm=SHA256`.
    Sha256,
}

/// Why a PEM text is no key to sign or verify with. The text is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// No block that this reads.
    #[error(
        "no PEM block found that begins with BEGIN PRIVATE KEY (PKCS #8), BEGIN RSA PRIVATE KEY (PKCS #1), \
         BEGIN EC PRIVATE KEY (SEC 1) or, for public keys, BEGIN PUBLIC KEY"
    )]
    NoKeyFound,
    /// There is nobody to ask for a passphrase.
    #[error("the private key is encrypted: decrypt it first, for example with openssl pkcs8")]
    Encrypted,
    /// The block is damaged, or holds another algorithm or curve.
    #[error("the PEM block holds no valid RSA or P-256 key")]
    Malformed,
    /// CloudFront takes no other size.
    #[error("an RSA key for CloudFront has 2048 bits, this one has {bits}")]
    RsaSize {
        /// The size of the modulus.
        bits: usize,
    },
}

/// Hashes `message` and hands the digest on. SHA-1 is no choice of ours: it is what CloudFront assumes by default.
fn digest(hash: HashAlgorithm, message: &[u8]) -> Vec<u8> {
    match hash {
        HashAlgorithm::Sha1 => <sha1::Sha1 as sha1::Digest>::digest(message).to_vec(),
        HashAlgorithm::Sha256 => <sha2::Sha256 as sha2::Digest>::digest(message).to_vec(),
    }
}
