//! Configurations of the API under test.

use streamio_edge::config::{CdnConfig, EdgeConfig, RateLimits, S3Config};
use streamio_edge::sign::key::{HashAlgorithm, KeyKind, KeyPairs, PrivateKey};
use streamio_edge::sign::s3::AddressStyle;
use streamio_edge::sign::sigv4::Credentials;

pub(crate) const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const CDN: &str = "https://d111111abcdef8.cloudfront.net";
pub(crate) const API: &str = "https://api.streamio.example";

pub(crate) fn key_pairs() -> KeyPairs {
    KeyPairs::new(
        "K2JCJMDEHXQW5F",
        [("K2JCJMDEHXQW5F".to_owned(), PrivateKey::generate(KeyKind::P256, [7; 32]))],
    )
    .unwrap()
}

pub(crate) fn config() -> EdgeConfig {
    let s3 = S3Config {
        endpoint: "https://s3.eu-west-1.amazonaws.com".to_owned(),
        region: "eu-west-1".to_owned(),
        address_style: AddressStyle::VirtualHosted,
        raw_bucket: "streamio-raw".to_owned(),
        credentials: Credentials::new("AKIDEXAMPLE", SECRET_ACCESS_KEY).unwrap(),
    };
    let cdn = CdnConfig { base_url: CDN.to_owned(), hash: HashAlgorithm::Sha256, expiry_bucket: 1 };
    EdgeConfig { public_url: Some(API.to_owned()), ..EdgeConfig::new(s3, cdn) }
}

/// A configuration with a rate limit that tests with many requests do not reach.
pub(crate) fn unlimited() -> EdgeConfig {
    let quota = u32::MAX;
    let rate_limits =
        RateLimits { key: quota, project: quota, failed_authentications: quota, ..RateLimits::default() };
    EdgeConfig { rate_limits, ..config() }
}
