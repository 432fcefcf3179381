use crate::base_url::BaseUrl;
use crate::sign::sigv4::{Credentials, SigningError};

/// Which stream is fed, and how requests to it are signed.
#[derive(Debug, Clone)]
pub struct KinesisConfig {
    /// The service's URL, `scheme://host` or `scheme://host:port`.
    pub endpoint: String,
    /// The region that signatures name.
    pub region: String,
    /// The stream's name.
    pub stream_name: String,
    /// These need `kinesis:PutRecords` on the stream.
    pub credentials: Credentials,
}

impl KinesisConfig {
    /// A stream of AWS.
    pub fn new(region: &str, stream_name: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            endpoint: ["https://kinesis.", region, ".amazonaws.com"].concat(),
            region: region.to_owned(),
            stream_name: stream_name.into(),
            credentials,
        }
    }

    /// The endpoint as signatures take it.
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

/// A configuration with which no request could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKinesisConfig {
    /// Not an origin.
    #[error(
        "the endpoint of Kinesis must be http:// or https:// with a host and nothing behind it, such as https://kinesis.eu-west-1.amazonaws.com"
    )]
    Endpoint,
    /// Kinesis allows no other names.
    #[error("a stream's name is 1 to 128 of a-z, A-Z, 0-9, '_', '.', '-'")]
    StreamName,
    /// Nothing can be signed for this region.
    #[error("requests to Kinesis cannot be signed")]
    Signing(#[from] SigningError),
    /// Without a try nothing is sent.
    #[error("there must be at least 1 try")]
    Tries,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_origin_and_a_name_is_one_of_kinesis() {
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
