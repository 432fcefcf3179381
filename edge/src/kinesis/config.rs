use crate::base_url::BaseUrl;
use crate::sign::sigv4::{Credentials, SigningError};

/// The stream, and the credentials for it.
#[derive(Debug, Clone)]
pub struct KinesisConfig {
    /// The service's URL, `scheme://host` or `scheme://host:port`.
    pub endpoint: String,
    /// The region in the scope of signatures.
    pub region: String,
    /// The name of the stream.
    pub stream_name: String,
    /// The credentials. They need the permission `kinesis:PutRecords` on the stream.
    pub credentials: Credentials,
}

impl KinesisConfig {
    /// Returns the configuration of a stream on AWS.
    pub fn new(region: &str, stream_name: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            endpoint: ["https://kinesis.", region, ".amazonaws.com"].concat(),
            region: region.to_owned(),
            stream_name: stream_name.into(),
            credentials,
        }
    }

    /// Validates the configuration, and returns the endpoint's origin.
    pub(super) fn origin(&self) -> Result<String, InvalidKinesisConfig> {
        let name = self.stream_name.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !(1..=128).contains(&name.len()) || !name.iter().all(plain) {
            return Err(InvalidKinesisConfig::StreamName);
        }
        let url = BaseUrl::parse(&self.endpoint).ok_or(InvalidKinesisConfig::Endpoint)?;
        if url.path().is_empty() { Ok(url.origin()) } else { Err(InvalidKinesisConfig::Endpoint) }
    }
}

/// Why a configuration is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKinesisConfig {
    /// The endpoint is not an origin.
    #[error(
        "the endpoint of Kinesis must be http:// or https:// with a host and without a path, such as https://kinesis.eu-west-1.amazonaws.com"
    )]
    Endpoint,
    /// The name of the stream is invalid.
    #[error("the name of a stream must have 1 to 128 characters of a-z, A-Z, 0-9, '_', '.', '-'")]
    StreamName,
    /// Requests cannot be signed with the region.
    #[error("requests to Kinesis cannot be signed")]
    Signing(#[from] SigningError),
    /// The number of attempts is 0.
    #[error("the number of attempts must be at least 1")]
    Tries,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_must_be_an_origin_and_the_name_valid() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret").unwrap();
        let of = |endpoint: &str, stream_name: &str| {
            let config = KinesisConfig::new("eu-west-1", stream_name, credentials.clone());
            KinesisConfig { endpoint: endpoint.to_owned(), ..config }.origin()
        };
        assert_eq!(of("http://127.0.0.1:9", "grants_1.a-b").unwrap(), "http://127.0.0.1:9");
        assert_eq!(
            of("https://kinesis.eu-west-1.amazonaws.com/", "g").unwrap(),
            "https://kinesis.eu-west-1.amazonaws.com"
        );
        for endpoint in
            ["", "kinesis", "ftp://a", "https://a/b", "https://u:p@a", "https://a?b", "https://a#b"]
        {
            assert_eq!(of(endpoint, "grants"), Err(InvalidKinesisConfig::Endpoint), "{endpoint}");
        }
        for name in ["", "a b", "a/b", "é", &"a".repeat(129)] {
            assert_eq!(of("http://a", name), Err(InvalidKinesisConfig::StreamName), "{name}");
        }
    }
}
