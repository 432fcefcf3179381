//! The configuration of the API. Validation reports all errors at once.

mod lifetime;
mod rate_limits;

use std::fmt;

pub use lifetime::Lifetime;
pub use rate_limits::RateLimits;
use streamio_events::job::MediaLimits;

use crate::base_url::BaseUrl;
use crate::sign::key::HashAlgorithm;
use crate::sign::policy::Resource;
use crate::sign::s3::{AddressStyle, Bucket};
use crate::sign::sigv4::{Credentials, MAX_EXPIRES_IN};

/// A day, in seconds.
const DAY: u32 = 86_400;

/// The longest [`CdnConfig::expiry_bucket`], in seconds.
const MAX_EXPIRY_BUCKET: u32 = 3_600;

/// The largest object of S3: 5 TiB. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub(crate) const MAX_OBJECT_BYTES: u64 = 5 * 1024 * 1024 * 1024 * 1024;

/// The configuration of the API.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// The base URL of the API, such as `https://api.example.com`, which is in the URLs of playlists (`hlsUrl`). `None`: the origin
    /// of each request; a server behind a proxy with TLS has to state it.
    pub public_url: Option<String>,
    /// The bucket for uploads.
    pub s3: S3Config,
    /// The CDN for playback.
    pub cdn: CdnConfig,
    /// The lifetime of an upload URL (`expiresIn`). The upload must begin within it.
    pub upload: Lifetime,
    /// The lifetime of the URLs of a multipart upload (`expiresIn`). All parts must begin within it.
    pub multipart_upload: Lifetime,
    /// The lifetime of a playback URL (`ttl`).
    pub playback: Lifetime,
    /// The quotas of requests.
    pub rate_limits: RateLimits,
    /// The origins whose web pages may call the API from a browser.
    pub allowed_origins: AllowedOrigins,
    /// The largest upload, in bytes, 1 to 5 TiB: that of [`MediaLimits`] in the application's policy, which does not process
    /// larger ones. A request for an upload URL with a larger `size` is refused.
    pub max_upload_bytes: u64,
}

/// The RAW bucket, which holds the sources, as clients and the edge reach it.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The URL of the S3 service, such as `https://s3.eu-west-1.amazonaws.com`.
    pub endpoint: String,
    /// The region in the credential scope of signatures.
    pub region: String,
    /// How URLs name the bucket.
    pub address_style: AddressStyle,
    /// The bucket's name.
    pub raw_bucket: String,
    /// Sign all upload URLs. They need the permissions `s3:PutObject` and `s3:AbortMultipartUpload` on the bucket.
    pub credentials: Credentials,
}

/// The CDN in front of the PROCESSED bucket.
#[derive(Debug, Clone)]
pub struct CdnConfig {
    /// The base URL of the keys of PROCESSED, such as `https://d111111abcdef8.cloudfront.net`.
    pub base_url: String,
    /// The hash algorithm of signatures.
    pub hash: HashAlgorithm,
    /// In seconds, 1 to 3,600: the expiry of a playback grant is rounded up to a multiple of this. A URL is therefore
    /// valid for up to `expiry_bucket - 1` seconds longer than requested, even beyond the maximum of
    /// [`EdgeConfig::playback`], but never beyond the CDN's latest expiry. Within a bucket, grants of the same file or
    /// stream to the same network share one signature ([`SharedSigner`](crate::sign::key::SharedSigner)). 1 means no
    /// rounding.
    pub expiry_bucket: u32,
}

/// Which origins may call the API from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Every origin.
    Any,
    /// These origins, each `scheme://host` or `scheme://host:port` as browsers send it in `Origin`.
    Only(Vec<String>),
}

/// What is derived from a valid configuration.
#[derive(Debug)]
pub(crate) struct ValidConfig {
    /// RAW.
    pub(crate) bucket: Bucket,
    /// The CDN's base URL without a trailing slash.
    pub(crate) cdn_base_url: String,
    /// The API's base URL without a trailing slash.
    pub(crate) public_url: Option<String>,
}

impl EdgeConfig {
    /// A configuration with default limits: upload URLs expire after 15 minutes (multipart: one day) and at most 7 days,
    /// playback URLs after one hour and at most 7 days; the quotas of requests of [`RateLimits::default`]; all origins are
    /// allowed; an upload has at most the bytes of [`MediaLimits::default`].
    pub fn new(s3: S3Config, cdn: CdnConfig) -> Self {
        Self {
            public_url: None,
            s3,
            cdn,
            upload: Lifetime { min: 1, default: 15 * 60, max: 7 * DAY },
            multipart_upload: Lifetime { min: 1, default: DAY, max: 7 * DAY },
            playback: Lifetime { min: 1, default: 60 * 60, max: 7 * DAY },
            rate_limits: RateLimits::default(),
            allowed_origins: AllowedOrigins::Any,
            max_upload_bytes: MediaLimits::default().max_bytes,
        }
    }

    /// Validates the configuration. Returns what is derived from it, or all errors.
    pub(crate) fn validate(&self) -> Result<ValidConfig, InvalidConfig> {
        let mut problems = Vec::new();

        let public_url = self.public_url.as_deref().map(base_url).transpose();
        let public_url =
            public_url.map_err(|reason| add_problem(&mut problems, "public_url", format_args!("{reason}")));

        let S3Config { endpoint, region, address_style, raw_bucket, .. } = &self.s3;
        let bucket = Bucket::new(endpoint, region, raw_bucket, *address_style)
            .map_err(|error| add_problem(&mut problems, "s3", format_args!("{error}")));
        let base_url = base_url(&self.cdn.base_url)
            .map_err(|reason| add_problem(&mut problems, "cdn.base_url", format_args!("{reason}")));

        let bucket_seconds = self.cdn.expiry_bucket;
        if !(1..=MAX_EXPIRY_BUCKET).contains(&bucket_seconds) {
            add_problem(
                &mut problems,
                "cdn.expiry_bucket",
                format_args!("must be 1 to {MAX_EXPIRY_BUCKET} seconds, not {bucket_seconds}"),
            );
        }

        for (setting, lifetime, limit) in [
            ("upload", self.upload, MAX_EXPIRES_IN),
            ("multipart_upload", self.multipart_upload, MAX_EXPIRES_IN),
            ("playback", self.playback, 365 * DAY),
        ] {
            if let Err(reason) = lifetime.check(limit) {
                add_problem(&mut problems, setting, format_args!("{reason}"));
            }
        }
        if !(1..=MAX_OBJECT_BYTES).contains(&self.max_upload_bytes) {
            let limit = byte_count(MAX_OBJECT_BYTES);
            let reason = format_args!("must be 1 to {limit}, not {}", self.max_upload_bytes);
            add_problem(&mut problems, "max_upload_bytes", reason);
        }
        for (setting, reason) in self.rate_limits.problems() {
            add_problem(&mut problems, setting, format_args!("{reason}"));
        }
        if let AllowedOrigins::Only(origins) = &self.allowed_origins {
            for origin in origins.iter().filter(|origin| !is_origin(origin)) {
                add_problem(
                    &mut problems,
                    "allowed_origins",
                    format_args!(
                        "{origin:?} is not an origin: scheme://host or scheme://host:port, lower case, without a trailing slash"
                    ),
                );
            }
        }
        match (bucket, base_url, public_url) {
            (Ok(bucket), Ok(cdn_base_url), Ok(public_url)) if problems.is_empty() => {
                Ok(ValidConfig { bucket, cdn_base_url, public_url })
            }
            _ => Err(InvalidConfig { problems }),
        }
    }
}

#[cold]
fn add_problem(problems: &mut Vec<ConfigProblem>, setting: &'static str, reason: fmt::Arguments<'_>) {
    problems.push(ConfigProblem { setting, reason: reason.to_string() });
}

/// A number of bytes for people, with the unit in which it is a whole number: `107374182400 bytes (100 GiB)`.
pub(crate) fn byte_count(bytes: u64) -> String {
    let unit = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .find(|(_, shift)| bytes >> shift > 0 && bytes.is_multiple_of(1 << shift));
    match unit {
        Some((name, shift)) => format!("{bytes} bytes ({} {name})", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

/// A normalized base URL, of the CDN or of the API.
fn base_url(text: &str) -> Result<String, &'static str> {
    let url = BaseUrl::parse(text).map(|url| url.origin() + url.path());
    // It becomes part of policies, so it must be valid in one.
    url.filter(|url| Resource::exact(&[url, "/"].concat()).is_ok())
        .ok_or("must be an http:// or https:// URL without user, query, fragment, wildcard or broken percent-encoding")
}

/// Whether `text` is the serialization of an origin that browsers send in `Origin`.
/// <https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin>
fn is_origin(text: &str) -> bool {
    BaseUrl::parse(text).is_some_and(|url| url.origin() == text)
}

/// The configuration is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig {
    /// All errors, at least one.
    pub problems: Vec<ConfigProblem>,
}

/// One error in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The field of [`EdgeConfig`], such as `rate_limit.quota`.
    pub setting: &'static str,
    /// What is wrong. Never contains a secret.
    pub reason: String,
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the configuration of the API is invalid")?;
        for (index, ConfigProblem { setting, reason }) in self.problems.iter().enumerate() {
            write!(formatter, "{} {setting} {reason}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidConfig {}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> EdgeConfig {
        let s3 = S3Config {
            endpoint: "http://127.0.0.1:9000".to_owned(),
            region: "us-east-1".to_owned(),
            address_style: AddressStyle::Path,
            raw_bucket: "raw".to_owned(),
            credentials: Credentials::new("AKIDEXAMPLE", "hidden").unwrap(),
        };
        let base_url = "https://cdn.example/".to_owned();
        let cdn = CdnConfig { base_url, hash: HashAlgorithm::Sha256, expiry_bucket: 1 };
        EdgeConfig::new(s3, cdn)
    }

    #[test]
    fn the_defaults_are_valid_and_the_trailing_slash_of_the_base_url_is_removed() {
        let with_public_url =
            EdgeConfig { public_url: Some("https://Api.example:443/v1/".to_owned()), ..config() };
        let valid = with_public_url.validate().unwrap();
        assert_eq!((valid.bucket.name(), valid.cdn_base_url.as_str()), ("raw", "https://cdn.example"));
        assert_eq!(valid.public_url.as_deref(), Some("https://api.example/v1"));
        assert_eq!(config().validate().unwrap().public_url, None);
    }

    #[test]
    fn a_base_url_is_valid_in_a_policy() {
        for accepted in ["https://cdn.example", "http://127.0.0.1:9001/", "https://cdn.example/videos/%20"] {
            assert!(base_url(accepted).is_ok(), "{accepted}");
        }
        for refused in [
            "",
            "cdn.example",
            "https://cdn.example/*",
            "https://cdn.example/%zz",
            "https://u@cdn.example",
            "https://cdn.example?a=b",
            "https://cdn.example/#a",
        ] {
            assert!(base_url(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let mut config = config();
        config.public_url = Some("api.example".to_owned());
        config.s3.raw_bucket = "Not A Bucket".to_owned();
        config.cdn.base_url = "ftp://cdn.example".to_owned();
        config.cdn.expiry_bucket = 3_601;
        config.upload = Lifetime { min: 0, default: 60, max: 60 };
        config.multipart_upload.max = 604_801;
        config.playback = Lifetime { min: 10, default: 5, max: 60 };
        config.max_upload_bytes = 0;
        config.rate_limits =
            RateLimits { window_seconds: 0, key: 0, project: 0, failed_authentications: 0, tracked: 0 };
        config.allowed_origins =
            AllowedOrigins::Only(vec!["https://ok.example".to_owned(), "https://no.example/".to_owned()]);
        let message = config.validate().unwrap_err().to_string();
        insta::assert_snapshot!(message, @r#"the configuration of the API is invalid: public_url must be an http:// or https:// URL without user, query, fragment, wildcard or broken percent-encoding; s3 a bucket name is 3 to 63 characters of a-z, 0-9, '-', '.', with a letter or digit at both ends and beside every dot, and is not an IP address; cdn.base_url must be an http:// or https:// URL without user, query, fragment, wildcard or broken percent-encoding; cdn.expiry_bucket must be 1 to 3600 seconds, not 3601; upload must be 1 <= min <= default <= max <= 604800 seconds, not 0, 60, 60; multipart_upload must be 1 <= min <= default <= max <= 604800 seconds, not 1, 86400, 604801; playback must be 1 <= min <= default <= max <= 31536000 seconds, not 10, 5, 60; max_upload_bytes must be 1 to 5497558138880 bytes (5 TiB), not 0; rate_limits.window_seconds must be 1 to 86400, not 0; rate_limits.key must be at least 1; rate_limits.project must be at least 1; rate_limits.failed_authentications must be at least 1; rate_limits.tracked must be at least 1; allowed_origins "https://no.example/" is not an origin: scheme://host or scheme://host:port, lower case, without a trailing slash"#);
    }

    #[test]
    fn a_number_of_bytes_is_stated_in_its_largest_whole_unit() {
        let stated = [0, 1, 1023, 1024, 1536, 5 << 20, 100 << 30, MAX_OBJECT_BYTES].map(byte_count);
        insta::assert_debug_snapshot!(stated, @r#"
[
    "0 bytes",
    "1 bytes",
    "1023 bytes",
    "1024 bytes (1 KiB)",
    "1536 bytes",
    "5242880 bytes (5 MiB)",
    "107374182400 bytes (100 GiB)",
    "5497558138880 bytes (5 TiB)",
]
"#);
    }

    #[test]
    fn debug_output_hides_the_secret() {
        assert!(!format!("{:?}", config()).contains("hidden"));
    }
}
