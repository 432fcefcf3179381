//! The Worker's settings: named texts (variables and secrets) become a configuration, or a list of all that is wrong.
//!
//! `wrangler.toml` explains each to the operator. Nothing has a silent stand-in: what is missing is an error.

use std::fmt;

use crate::config::{AllowedOrigins, CdnConfig, EdgeConfig, RateLimit, S3Config};
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

/// The key pair that signs for the CDN. `Debug` hides the key.
pub struct KeyPairSettings {
    /// `CDN_KEY_PAIR_ID`: under which CloudFront knows the public key.
    pub id: String,
    /// `CDN_PRIVATE_KEY`: in PEM.
    pub private_key: String,
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

/// Settings that cannot work, with every reason.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidSettings {
    /// Names and what is wrong with each. Never a value.
    pub problems: Vec<(&'static str, String)>,
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the Worker's settings are invalid")?;
        for (index, (name, reason)) in self.problems.iter().enumerate() {
            write!(formatter, "{} {name} {reason}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidSettings {}

impl InvalidSettings {
    /// The single problem `reason` of the setting `name`.
    #[cold]
    pub fn of(name: &'static str, reason: impl fmt::Display) -> Self {
        Self { problems: vec![(name, reason.to_string())] }
    }
}

impl fmt::Debug for KeyPairSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyPairSettings").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the settings that `text` answers by name.
    pub fn read(text: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        let mut reader = Reader { text: &text, problems: Vec::new() };
        match reader.settings() {
            Some(settings) if reader.problems.is_empty() => Ok(settings),
            _ => Err(InvalidSettings { problems: reader.problems }),
        }
    }
}

struct Reader<'a> {
    text: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<(&'static str, String)>,
}

impl Reader<'_> {
    /// `None` only with a problem. What is wrong is noted, and read on as something that is not: to leave at each would make
    /// this the longest function of the module, in which an isolate's first request has to wait for it.
    fn settings(&mut self) -> Option<Settings> {
        let region = self.required("AWS_REGION");
        let credentials = self.credentials("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
        let s3_credentials = self.credentials("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY");
        let s3_endpoint = self.required("S3_ENDPOINT");
        let s3_region = self.optional("S3_REGION").unwrap_or_else(|| region.clone());
        let raw_bucket = self.required("S3_RAW_BUCKET");
        let address_style = self.choice(
            "S3_ADDRESS_STYLE",
            &[("virtual-hosted", AddressStyle::VirtualHosted), ("path", AddressStyle::Path)],
        );
        let base_url = self.required("CDN_BASE_URL");
        let hash =
            self.choice("CDN_HASH", &[("sha256", HashAlgorithm::Sha256), ("sha1", HashAlgorithm::Sha1)]);
        let id = self.required("CDN_KEY_PAIR_ID");
        let private_key = self.required("CDN_PRIVATE_KEY");
        let home_url = self.required("HOME_URL");
        let service =
            self.choice("HOME_SERVICE", &[("lambda", Service::Lambda), ("execute-api", Service::ExecuteApi)]);
        let kinesis_stream = self.required("KINESIS_STREAM");
        let kinesis_endpoint = self.optional("KINESIS_ENDPOINT");
        let journal = self.choice(
            "JOURNAL",
            &[
                ("queue", JournalMode::Queue),
                ("wait-until", JournalMode::WaitUntil),
                ("home", JournalMode::Home),
            ],
        );
        let log = self.choice("LOG", &[("failures", LogMode::Failures), ("requests", LogMode::Requests)]);
        let bucket = self.number("CDN_EXPIRY_BUCKET_SECONDS");
        let quota = self.number("RATE_LIMIT_QUOTA");
        let window = self.number("RATE_LIMIT_WINDOW_SECONDS");
        let origins = self.optional("ALLOWED_ORIGINS");

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
        let RateLimit { quota: default_quota, window_seconds, tracked_keys } = edge.rate_limit;
        edge.rate_limit = RateLimit {
            quota: quota.unwrap_or(default_quota),
            window_seconds: window.unwrap_or(window_seconds),
            tracked_keys,
        };
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

    /// An empty text is as good as none: that is how an environment of `wrangler.toml` takes back a variable.
    fn optional(&self, name: &str) -> Option<String> {
        (self.text)(name).filter(|text| !text.is_empty())
    }

    /// Empty only with a problem.
    fn required(&mut self, name: &'static str) -> String {
        let text = (self.text)(name).unwrap_or_default();
        if text.is_empty() {
            self.refuse(name, "is missing");
        }
        text
    }

    /// The first choice is the default.
    fn choice<T: Copy, const N: usize>(&mut self, name: &'static str, choices: &[(&str, T); N]) -> T {
        choices[self.chosen(name, &choices.each_ref().map(|(word, _)| *word))].1
    }

    fn chosen(&mut self, name: &'static str, words: &[&str]) -> usize {
        let Some(text) = self.optional(name) else { return 0 };
        words.iter().position(|word| *word == text).unwrap_or_else(|| {
            self.refuse(name, &format!("must be one of: {}", words.join(", ")));
            0
        })
    }

    #[cold]
    fn refuse(&mut self, name: &'static str, reason: &str) {
        self.problems.push((name, reason.to_owned()));
    }

    fn number(&mut self, name: &'static str) -> Option<u32> {
        let text = self.optional(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.refuse(name, "must be a whole number");
        }
        number
    }

    fn credentials(&mut self, id: &'static str, secret: &'static str) -> Option<Credentials> {
        let (id_text, secret_text) = (self.required(id), self.required(secret));
        if id_text.is_empty() || secret_text.is_empty() {
            return None;
        }
        let credentials = Credentials::new(&id_text, &secret_text);
        credentials.map_err(|error| self.refuse(id, &format!("does not fit: {error}"))).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
            ("RATE_LIMIT_QUOTA", "10"),
            ("RATE_LIMIT_WINDOW_SECONDS", "20"),
            ("S3_ADDRESS_STYLE", "path"),
            ("S3_REGION", "us-east-1"),
        ]);
        let settings = read(&texts).unwrap();
        let edge = settings.edge;
        assert_eq!((edge.rate_limit.quota, edge.rate_limit.window_seconds), (10, 20));
        assert_eq!((edge.cdn.hash, edge.cdn.expiry_bucket), (HashAlgorithm::Sha1, 60));
        assert_eq!((edge.s3.region.as_str(), edge.s3.address_style), ("us-east-1", AddressStyle::Path));
        let origins = ["https://a.example", "https://b.example"].map(str::to_owned).to_vec();
        assert_eq!(edge.allowed_origins, AllowedOrigins::Only(origins));
        assert_eq!((settings.journal, settings.log), (JournalMode::WaitUntil, LogMode::Requests));
    }

    #[test]
    fn every_missing_or_wrong_setting_is_named_at_once() {
        for name in complete().keys() {
            let mut texts = complete();
            texts.insert(name, "");
            assert_eq!(read(&texts).unwrap_err().problems, [(*name, "is missing".to_owned())]);
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
