//! The Worker's settings, read from its variables and secrets.
//!
//! `wrangler.toml` documents each variable. A missing variable without a documented default is an error; all errors are
//! reported at once.

use streamio_events::secret::Secret;
pub use streamio_events::settings::InvalidSettings;
use streamio_events::settings::Reader;

use crate::config::{AllowedOrigins, CdnConfig, EdgeConfig, RateLimits, S3Config};
use crate::home::{HomeConfig, Service};
use crate::kinesis::KinesisConfig;
use crate::sign::key::HashAlgorithm;
use crate::sign::s3::AddressStyle;
use crate::sign::sigv4::Credentials;

/// Everything that an operator decides about a Worker.
#[derive(Debug)]
pub struct Settings {
    /// The API.
    pub edge: EdgeConfig,
    /// The key pair that signs for the CDN.
    pub key_pair: KeyPairSettings,
    /// Where the home region answers.
    pub home: HomeConfig,
    /// The stream into which the queue's grants go.
    pub kinesis: KinesisConfig,
    /// When a grant counts as accepted.
    pub journal: JournalMode,
    /// What is logged.
    pub log: LogMode,
}

/// The key pair that signs for the CDN.
#[derive(Debug)]
pub struct KeyPairSettings {
    /// `CDN_KEY_PAIR_ID`: under which CloudFront knows the public key.
    pub id: String,
    /// `CDN_PRIVATE_KEY`: in PEM.
    pub private_key: Secret,
}

/// `JOURNAL`: when a grant counts as accepted, so that its answer may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalMode {
    /// `queue`: when the queue has stored it.
    Queue,
    /// `wait-until`: at once; it is put on the queue while the answer travels. A grant is lost when that fails.
    WaitUntil,
    /// `home`: when the ledger in the home region has it. A repeated request is recognised at once.
    Home,
}

/// `LOG`: which requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogMode {
    /// `failures`: those that the service failed.
    Failures,
    /// `requests`: all.
    Requests,
}

impl Settings {
    /// Reads the variables and secrets that `text` returns by name.
    pub fn read(text: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        let mut reader = Reader::new(&text);
        let settings = settings(&mut reader);
        reader.finish(settings)
    }
}

/// `None` only with a problem. After a problem it reads on with a default instead of returning: early returns would make this
/// the longest function of the module, and the first request of an isolate waits for its compilation.
fn settings(reader: &mut Reader<'_>) -> Option<Settings> {
    let region = required(reader, "AWS_REGION");
    let credentials = credentials(reader, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    let s3_credentials = self::credentials(reader, "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY");
    let s3_endpoint = required(reader, "S3_ENDPOINT");
    let s3_region = reader.optional("S3_REGION").unwrap_or_else(|| region.clone());
    let raw_bucket = required(reader, "S3_RAW_BUCKET");
    let address_style = reader.choice(
        "S3_ADDRESS_STYLE",
        &[("virtual-hosted", AddressStyle::VirtualHosted), ("path", AddressStyle::Path)],
    );
    let base_url = required(reader, "CDN_BASE_URL");
    let hash = reader.choice("CDN_HASH", &[("sha256", HashAlgorithm::Sha256), ("sha1", HashAlgorithm::Sha1)]);
    let id = required(reader, "CDN_KEY_PAIR_ID");
    let private_key = Secret::new(required(reader, "CDN_PRIVATE_KEY"));
    let home_url = required(reader, "HOME_URL");
    let service =
        reader.choice("HOME_SERVICE", &[("lambda", Service::Lambda), ("execute-api", Service::ExecuteApi)]);
    let kinesis_stream = required(reader, "KINESIS_STREAM");
    let kinesis_endpoint = reader.optional("KINESIS_ENDPOINT");
    let journal = reader.choice(
        "JOURNAL",
        &[("queue", JournalMode::Queue), ("wait-until", JournalMode::WaitUntil), ("home", JournalMode::Home)],
    );
    let log = reader.choice("LOG", &[("failures", LogMode::Failures), ("requests", LogMode::Requests)]);
    let bucket = reader.number("CDN_EXPIRY_BUCKET_SECONDS");
    let default = RateLimits::default();
    let key = reader.number("RATE_LIMIT_QUOTA").unwrap_or(default.key);
    let rate_limits = RateLimits {
        window_seconds: reader.number("RATE_LIMIT_WINDOW_SECONDS").unwrap_or(default.window_seconds),
        key,
        project: reader.number("PROJECT_RATE_LIMIT_QUOTA").unwrap_or(RateLimits::project_of(key)),
        failed_authentications: reader
            .number("FAILED_AUTHENTICATION_QUOTA")
            .unwrap_or(default.failed_authentications),
        tracked: default.tracked,
    };
    let origins = reader.optional("ALLOWED_ORIGINS");
    let max_upload_bytes = reader.number("MAX_UPLOAD_BYTES");
    let public_url = reader.optional("PUBLIC_URL");

    let (Some(credentials), Some(s3_credentials)) = (credentials, s3_credentials) else { return None };
    let s3 = S3Config {
        endpoint: s3_endpoint,
        region: s3_region,
        address_style,
        raw_bucket,
        credentials: s3_credentials,
    };
    let cdn = CdnConfig { base_url, hash, expiry_bucket: bucket.unwrap_or(1) };
    let mut edge = EdgeConfig::new(s3, cdn);
    edge.public_url = public_url;
    edge.rate_limits = rate_limits;
    edge.max_upload_bytes = max_upload_bytes.unwrap_or(edge.max_upload_bytes);
    if let Some(origins) = origins.filter(|origins| origins != "*") {
        let origins = origins.split(',').map(|origin| origin.trim().to_owned());
        edge.allowed_origins = AllowedOrigins::Only(origins.collect());
    }
    let mut home = HomeConfig::new(home_url, region.clone(), credentials.clone());
    home.service = service;
    let mut kinesis = KinesisConfig::new(&region, kinesis_stream, credentials);
    if let Some(endpoint) = kinesis_endpoint {
        kinesis.endpoint = endpoint;
    }
    Some(Settings { edge, key_pair: KeyPairSettings { id, private_key }, home, kinesis, journal, log })
}

/// Empty only with a problem.
fn required(reader: &mut Reader<'_>, name: &'static str) -> String {
    reader.required(name).unwrap_or_default()
}

fn credentials(reader: &mut Reader<'_>, id: &'static str, secret: &'static str) -> Option<Credentials> {
    let (id_text, secret_text) = (reader.required(id), reader.required(secret));
    let credentials = Credentials::new(&id_text?, &secret_text?);
    credentials.map_err(|error| reader.refuse(id, &format!("does not fit: {error}"))).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use streamio_events::job::MediaLimits;

    use super::*;

    fn complete() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([
            ("AWS_ACCESS_KEY_ID", "AKIDHOME"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_SECRET_ACCESS_KEY", "hidden-home"),
            ("CDN_BASE_URL", "https://d111111abcdef8.cloudfront.net"),
            ("CDN_KEY_PAIR_ID", "K2JCJMDEHXQW5F"),
            ("CDN_PRIVATE_KEY", "hidden-pem"),
            ("HOME_URL", "https://home.example"),
            ("KINESIS_STREAM", "facts"),
            ("S3_ACCESS_KEY_ID", "AKIDRAW"),
            ("S3_ENDPOINT", "https://s3.eu-west-1.amazonaws.com"),
            ("S3_RAW_BUCKET", "raw"),
            ("S3_SECRET_ACCESS_KEY", "hidden-raw"),
        ])
    }

    fn read(texts: &BTreeMap<&str, &str>) -> Result<Settings, InvalidSettings> {
        Settings::read(|name| texts.get(name).map(|text| (*text).to_owned()))
    }

    #[test]
    fn what_is_not_said_has_its_documented_default() {
        let settings = read(&complete()).unwrap();
        assert_eq!(settings.journal, JournalMode::Queue);
        assert_eq!(settings.log, LogMode::Failures);
        assert_eq!(settings.kinesis.endpoint, "https://kinesis.eu-west-1.amazonaws.com");
        assert_eq!(settings.home.service, Service::Lambda);
        assert_eq!(settings.edge.s3.region, "eu-west-1");
        assert_eq!(settings.edge.s3.address_style, AddressStyle::VirtualHosted);
        assert_eq!(settings.edge.allowed_origins, AllowedOrigins::Any);
        assert_eq!(settings.edge.max_upload_bytes, MediaLimits::default().max_bytes);
        assert_eq!(settings.edge.public_url, None);
    }

    #[test]
    fn everything_can_be_said() {
        let mut texts = complete();
        texts.extend([
            ("ALLOWED_ORIGINS", "https://a.example, https://b.example"),
            ("CDN_EXPIRY_BUCKET_SECONDS", "60"),
            ("CDN_HASH", "sha1"),
            ("HOME_SERVICE", "execute-api"),
            ("JOURNAL", "wait-until"),
            ("KINESIS_ENDPOINT", "http://127.0.0.1:4567"),
            ("LOG", "requests"),
            ("MAX_UPLOAD_BYTES", "5000000000"),
            ("PUBLIC_URL", "https://api.example"),
            ("FAILED_AUTHENTICATION_QUOTA", "5"),
            ("PROJECT_RATE_LIMIT_QUOTA", "30"),
            ("RATE_LIMIT_QUOTA", "10"),
            ("RATE_LIMIT_WINDOW_SECONDS", "20"),
            ("S3_ADDRESS_STYLE", "path"),
            ("S3_REGION", "us-east-1"),
        ]);
        let settings = read(&texts).unwrap();
        let edge = settings.edge;
        let limits = RateLimits {
            window_seconds: 20,
            key: 10,
            project: 30,
            failed_authentications: 5,
            ..RateLimits::default()
        };
        assert_eq!(edge.rate_limits, limits);
        assert_eq!(edge.max_upload_bytes, 5_000_000_000);
        assert_eq!((edge.cdn.hash, edge.cdn.expiry_bucket), (HashAlgorithm::Sha1, 60));
        assert_eq!((edge.s3.region.as_str(), edge.s3.address_style), ("us-east-1", AddressStyle::Path));
        let origins = ["https://a.example", "https://b.example"].map(str::to_owned).to_vec();
        assert_eq!(edge.allowed_origins, AllowedOrigins::Only(origins));
        assert_eq!(edge.public_url.as_deref(), Some("https://api.example"));
        assert_eq!((settings.journal, settings.log), (JournalMode::WaitUntil, LogMode::Requests));
    }

    #[test]
    fn every_missing_or_wrong_setting_is_named_at_once() {
        for name in complete().keys() {
            let mut texts = complete();
            for blank in ["", " \n"] {
                texts.insert(name, blank);
                assert_eq!(read(&texts).unwrap_err().problems, [(*name, "is missing".to_owned())]);
            }
        }
        let texts = BTreeMap::from([("JOURNAL", "maybe"), ("RATE_LIMIT_QUOTA", "-1")]);
        let said = read(&texts).unwrap_err().to_string();
        for name in complete().keys().chain(texts.keys()) {
            assert!(said.contains(name), "{name}: {said}");
        }
        assert!(said.contains("JOURNAL must be one of: queue, wait-until, home"), "{said}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = read(&complete()).unwrap();
        assert!(!format!("{settings:?}").contains("hidden"));
    }
}
