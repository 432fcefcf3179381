//! The Worker's variables and secrets on one machine. `wrangler.toml` describes each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use streamio_edge::config::{AllowedOrigins, EdgeConfig};
use streamio_edge::sign::key::HashAlgorithm;
use streamio_edge::sign::s3::AddressStyle;

use super::config::WorkerJournal;
use crate::intake;
use crate::secrets::Secrets;

/// The platform's addresses and keys, for the Worker.
pub(crate) struct WorkerEnvironment {
    /// The configuration that the native edge would use.
    pub(crate) edge: EdgeConfig,
    /// The URL of [`crate::home`].
    pub(crate) home: String,
    /// The AWS region in signatures.
    pub(crate) region: &'static str,
    /// All keys. The edge's configuration does not reveal its own.
    pub(crate) secrets: Secrets,
    /// The folder for temporary files.
    pub(crate) scratch: PathBuf,
}

impl WorkerEnvironment {
    /// Returns the Worker's variables and secrets by name.
    pub(super) fn variables(&self, journal: WorkerJournal) -> BTreeMap<&'static str, String> {
        let Self { edge, home, region, secrets, .. } = self;
        let mut variables = BTreeMap::from([
            ("AWS_REGION", (*region).to_owned()),
            ("AWS_ACCESS_KEY_ID", secrets.home_access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", secrets.home_secret_access_key.clone()),
            ("HOME_URL", home.clone()),
            ("KINESIS_ENDPOINT", home.clone()),
            ("KINESIS_STREAM", intake::STREAM_NAME.to_owned()),
            ("S3_ENDPOINT", edge.s3.endpoint.clone()),
            ("S3_REGION", edge.s3.region.clone()),
            ("S3_RAW_BUCKET", edge.s3.raw_bucket.clone()),
            ("S3_ACCESS_KEY_ID", secrets.s3_access_key_id.clone()),
            ("S3_SECRET_ACCESS_KEY", secrets.s3_secret_access_key.clone()),
            ("CDN_BASE_URL", edge.cdn.base_url.clone()),
            ("CDN_EXPIRY_BUCKET_SECONDS", edge.cdn.expiry_bucket.to_string()),
            ("CDN_KEY_PAIR_ID", secrets.cdn_key_pair_id.clone()),
            ("CDN_PRIVATE_KEY", secrets.cdn_private_key.clone()),
            ("RATE_LIMIT_QUOTA", edge.rate_limits.key.to_string()),
            ("RATE_LIMIT_WINDOW_SECONDS", edge.rate_limits.window_seconds.to_string()),
            ("PROJECT_RATE_LIMIT_QUOTA", edge.rate_limits.project.to_string()),
            ("FAILED_AUTHENTICATION_QUOTA", edge.rate_limits.failed_authentications.to_string()),
            ("MAX_UPLOAD_BYTES", edge.max_upload_bytes.to_string()),
            ("LOG", "requests".to_owned()),
        ]);
        let style = match edge.s3.address_style {
            AddressStyle::Path => "path",
            AddressStyle::VirtualHosted => "virtual-hosted",
        };
        let hash = match edge.cdn.hash {
            HashAlgorithm::Sha1 => "sha1",
            HashAlgorithm::Sha256 => "sha256",
        };
        let journal = match journal {
            WorkerJournal::Home => "home",
            WorkerJournal::Queue => "queue",
        };
        for (name, word) in [("S3_ADDRESS_STYLE", style), ("CDN_HASH", hash), ("JOURNAL", journal)] {
            variables.insert(name, word.to_owned());
        }
        if let Some(public_url) = &edge.public_url {
            variables.insert("PUBLIC_URL", public_url.clone());
        }
        if let AllowedOrigins::Only(origins) = &edge.allowed_origins {
            variables.insert("ALLOWED_ORIGINS", origins.join(","));
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use streamio_edge::config::{CdnConfig, RateLimits, S3Config};
    use streamio_edge::settings::{JournalMode, Settings};
    use streamio_edge::sign::sigv4::Credentials;

    use super::*;
    use crate::data_dir::DataDir;

    #[test]
    fn the_worker_reads_the_configuration_of_the_native_edge() {
        let scratch = tempfile::tempdir().unwrap();
        let secrets = Secrets::load_or_generate(&DataDir::open(scratch.path()).unwrap()).unwrap();
        let s3 = S3Config {
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: "us-east-1".to_owned(),
            address_style: AddressStyle::Path,
            raw_bucket: "raw".to_owned(),
            credentials: Credentials::new(&secrets.s3_access_key_id, &secrets.s3_secret_access_key).unwrap(),
        };
        let base_url = "http://127.0.0.1:2".to_owned();
        let mut edge =
            EdgeConfig::new(s3, CdnConfig { base_url, hash: HashAlgorithm::Sha1, expiry_bucket: 7 });
        edge.public_url = Some("http://127.0.0.1:4".to_owned());
        edge.rate_limits = RateLimits {
            window_seconds: 61,
            key: 400,
            project: 500,
            failed_authentications: 7,
            ..edge.rate_limits
        };
        edge.max_upload_bytes = 5_000_000_000;
        edge.allowed_origins =
            AllowedOrigins::Only(vec!["https://a.example".to_owned(), "http://localhost:3000".to_owned()]);
        let environment = WorkerEnvironment {
            edge: edge.clone(),
            home: "http://127.0.0.1:3".to_owned(),
            region: "us-east-1",
            secrets: secrets.clone(),
            scratch: scratch.path().to_owned(),
        };
        for (journal, read) in
            [(WorkerJournal::Home, JournalMode::Home), (WorkerJournal::Queue, JournalMode::Queue)]
        {
            let variables = environment.variables(journal);
            let settings = Settings::read(|name| variables.get(name).cloned()).unwrap();
            assert_eq!(settings.journal, read);
            assert_eq!(settings.kinesis.endpoint, "http://127.0.0.1:3");
            assert_eq!(settings.home.base_url, "http://127.0.0.1:3");
            assert_eq!(settings.key_pair.id, secrets.cdn_key_pair_id);
            // Debug output hides the secrets; tests that use them show that they are right.
            let shown = |edge: &EdgeConfig| {
                let EdgeConfig {
                    public_url, s3, cdn, rate_limits, allowed_origins, max_upload_bytes, ..
                } = edge;
                format!(
                    "{public_url:?} {s3:?} {cdn:?} {rate_limits:?} {allowed_origins:?} {max_upload_bytes}"
                )
            };
            assert_eq!(shown(&settings.edge), shown(&edge));
        }
    }
}
