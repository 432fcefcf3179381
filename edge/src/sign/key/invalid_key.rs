/// Why a PEM text is not a usable key. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// There is no PEM block of a supported type.
    #[error(
        "no PEM block found that begins with BEGIN PRIVATE KEY (PKCS #8), BEGIN RSA PRIVATE KEY (PKCS #1), \
         BEGIN EC PRIVATE KEY (SEC 1) or, for public keys, BEGIN PUBLIC KEY"
    )]
    NoKeyFound,
    /// Encrypted keys are not supported: there is no passphrase.
    #[error("the private key is encrypted: decrypt it first, for example with openssl pkcs8")]
    Encrypted,
    /// The block is damaged, or has an unsupported algorithm or curve.
    #[error("the PEM block does not contain a valid RSA or P-256 key")]
    Malformed,
    /// CloudFront requires 2,048 bits.
    #[error("an RSA key for CloudFront must have 2048 bits, not {bits}")]
    RsaSize {
        /// The size of the modulus.
        bits: usize,
    },
}
