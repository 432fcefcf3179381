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
