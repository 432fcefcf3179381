//! Keys of the CDN: private keys that sign URLs, public keys that verify them, and sets of key pairs for rotation.
//!
//! CloudFront accepts RSA keys of 2,048 bits and ECDSA keys on P-256.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html>
//!
//! The feature `keys` compiles signing and verifying with keys in this process. Without it, an adapter of [`UrlSigner`]
//! signs with the host's cryptography, and no code for RSA, elliptic curves or SHA-1 is compiled.

#[cfg(feature = "keys")]
mod digest;
#[cfg(feature = "keys")]
mod invalid_key;
#[cfg(feature = "keys")]
mod pairs;
#[cfg(feature = "keys")]
mod pem;
#[cfg(feature = "keys")]
mod private;
#[cfg(feature = "keys")]
mod public;
#[cfg(feature = "keys")]
mod rsa_key;
mod shared_signer;
mod url_signer;

#[cfg(feature = "keys")]
pub use invalid_key::InvalidKey;
#[cfg(feature = "keys")]
pub use pairs::{InvalidKeyPairs, KeyPairs};
#[cfg(feature = "keys")]
pub use private::PrivateKey;
#[cfg(feature = "keys")]
pub use public::PublicKey;
pub use shared_signer::SharedSigner;
pub use url_signer::{KeySignature, UrlSigner, UrlSignerError};

/// The kinds of key that CloudFront supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with a modulus of 2,048 bits; signatures are PKCS #1 v1.5, which is deterministic.
    Rsa2048,
    /// ECDSA on the curve P-256; signatures are ASN.1 DER. About twenty times faster to sign with than RSA.
    P256,
}

/// The hash algorithm of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashAlgorithm {
    /// CloudFront's default.
    #[default]
    Sha1,
    /// Stated in the URL as `Hash-Algorithm=SHA256`.
    Sha256,
}
