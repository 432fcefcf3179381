//! The keys of the CDN: private ones that sign URLs, public ones that verify them, and sets of both for rotation.
//!
//! CloudFront takes RSA keys of 2,048 bits and ECDSA keys on P-256.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html>
//!
//! Keys in this process are the feature `keys`. Without it a host signs, behind [`UrlSigner`], and no code for RSA,
//! elliptic curves or SHA-1 is compiled.

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
