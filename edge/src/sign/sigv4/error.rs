use super::MAX_EXPIRES_IN;

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// AWS refuses longer lives, and a life of zero is useless.
    #[error("a presigned URL lives 1 to {MAX_EXPIRES_IN} seconds, not {seconds}")]
    ExpiryOutOfRange {
        /// What was asked for.
        seconds: u32,
    },
    /// The signature's date has four digits for the year.
    #[error("the time of signing lies outside the years 1970 to 9999")]
    TimeOutOfRange,
    /// The region stands in the credential scope, whose separator is a slash.
    #[error("a region is one or more characters of a-z, A-Z, 0-9, '-', '_', such as eu-west-1")]
    InvalidRegion,
    /// The service stands there too.
    #[error("a service is one or more characters of a-z, A-Z, 0-9, '-', '_', such as s3")]
    InvalidService,
    /// Not `scheme://host[:port]`.
    #[error(
        "an origin is http:// or https:// with a host and, where needed, a port, such as https://host:8443"
    )]
    InvalidOrigin,
    /// A path is signed as it will be sent, so it must be one that can be sent.
    #[error("a path to sign begins with '/' and is percent-encoded")]
    InvalidPath,
    /// Not a header name of HTTP.
    #[error("{name:?} is not a header name")]
    InvalidHeaderName {
        /// The name as given.
        name: String,
    },
    /// Header values are visible ASCII, spaces and tabs; S3 keeps other text only where the client encodes it itself.
    #[error("the value of header {name} holds characters other than visible ASCII, space and tab")]
    InvalidHeaderValue {
        /// The name of the header; its value may be private.
        name: String,
    },
    /// The signer sets it, or proxies change it on the way, so that the signature would not hold.
    #[error("header {name} cannot be signed: the signer sets it itself or proxies change it; leave it out")]
    ReservedHeader {
        /// The name of the header.
        name: String,
    },
    /// The signature's own parameters.
    #[error("query parameter {name} belongs to the signature; leave it out")]
    ReservedQueryParameter {
        /// The name of the parameter.
        name: String,
    },
    /// S3 keys are 1 to 1,024 bytes.
    #[error("an object key is 1 to 1024 bytes of UTF-8, not {bytes}")]
    KeyLength {
        /// The length of the key as given.
        bytes: usize,
    },
}
