use super::MAX_EXPIRES_IN;

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// AWS refuses a longer lifetime, and zero would be useless.
    #[error("a presigned URL must expire in 1 to {MAX_EXPIRES_IN} seconds, not {seconds}")]
    ExpiryOutOfRange {
        /// The lifetime that was passed.
        seconds: u32,
    },
    /// The date in a signature has a year of four digits.
    #[error("the time of signing is outside the years 1970 to 9999")]
    TimeOutOfRange,
    /// The region is part of the credential scope, whose separator is a slash.
    #[error("a region is one or more characters of a-z, A-Z, 0-9, '-', '_', such as eu-west-1")]
    InvalidRegion,
    /// The service is part of the credential scope, whose separator is a slash.
    #[error("a service is one or more characters of a-z, A-Z, 0-9, '-', '_', such as s3")]
    InvalidService,
    /// Not `scheme://host[:port]`.
    #[error(
        "an origin is http:// or https:// with a host and, where needed, a port, such as https://host:8443"
    )]
    InvalidOrigin,
    /// The path is signed as it will be sent, so it must be encoded already.
    #[error("a path to sign begins with '/' and is percent-encoded")]
    InvalidPath,
    /// Not an HTTP header name.
    #[error("{name:?} is not a header name")]
    InvalidHeaderName {
        /// The name that was passed.
        name: String,
    },
    /// Header values are visible ASCII, spaces and tabs. For other text the client must choose an encoding.
    #[error("the value of header {name} contains characters other than visible ASCII, space and tab")]
    InvalidHeaderValue {
        /// The name of the header. Its value is not shown, since it may be private.
        name: String,
    },
    /// The signer sets this header itself, or proxies change it, which would invalidate the signature.
    #[error("header {name} cannot be signed: the signer sets it itself or proxies change it; leave it out")]
    ReservedHeader {
        /// The name of the header.
        name: String,
    },
    /// The parameter belongs to the signature.
    #[error("query parameter {name} belongs to the signature; leave it out")]
    ReservedQueryParameter {
        /// The name of the parameter.
        name: String,
    },
    /// S3 keys are 1 to 1,024 bytes.
    #[error("an object key is 1 to 1024 bytes of UTF-8, not {bytes}")]
    KeyLength {
        /// The length of the key that was passed.
        bytes: usize,
    },
}
