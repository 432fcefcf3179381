//! The keys that the platform generates for its own components.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use streamio_edge::sign::key::{KeyKind, PrivateKey};

use crate::data_dir::{DataDir, DataDirError, SECRETS};

/// The platform's keys, generated at its first start and stored in the data directory.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Secrets {
    /// The id of the key that signs requests to the object store.
    pub(crate) s3_access_key_id: String,
    /// The secret of that key.
    pub(crate) s3_secret_access_key: String,
    /// The id of the key pair that signs playback URLs.
    pub(crate) cdn_key_pair_id: String,
    /// The private key of that key pair, PKCS #8 in PEM.
    pub(crate) cdn_private_key: String,
    /// The id of the key with which an edge without its own log signs calls to the home region. Empty in the files of
    /// older versions.
    #[serde(default)]
    pub(crate) home_access_key_id: String,
    /// The secret of that key. Empty in the files of older versions.
    #[serde(default)]
    pub(crate) home_secret_access_key: String,
    /// The secret from which the keys of webhooks are derived, in hexadecimal digits. Empty in the files of older versions.
    #[serde(default)]
    pub(crate) webhook_secret: String,
    /// The secret from which the keys of the transparency logs are derived, in hexadecimal digits. Empty in the files of older versions.
    #[serde(default)]
    pub(crate) audit_secret: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads the secrets in `directory`. Missing ones are generated and stored.
    pub(crate) fn load_or_generate(directory: &DataDir) -> Result<Self, DataDirError> {
        if let Some(secrets) = directory.read_json::<Self>(SECRETS)? {
            return secrets.complete(directory);
        }
        let (s3_access_key_id, s3_secret_access_key) = access_key();
        let (home_access_key_id, home_secret_access_key) = access_key();
        let secrets = Self {
            s3_access_key_id,
            s3_secret_access_key,
            cdn_key_pair_id: format!("K{}", &BASE32_NOPAD.encode(&random::<16>())[..13]),
            // P-256: CloudFront accepts it as it does RSA, and signing takes a tenth of the time.
            cdn_private_key: PrivateKey::generate(KeyKind::P256, random()).to_pem(),
            home_access_key_id,
            home_secret_access_key,
            webhook_secret: root_secret(),
            audit_secret: root_secret(),
        };
        directory.write_json(SECRETS, &secrets)?;
        Ok(secrets)
    }

    /// Generates and stores the secrets that files of older versions lack.
    fn complete(mut self, directory: &DataDir) -> Result<Self, DataDirError> {
        let lacks_home = self.home_access_key_id.is_empty();
        if lacks_home {
            (self.home_access_key_id, self.home_secret_access_key) = access_key();
        }
        let mut is_complete = !lacks_home;
        for secret in [&mut self.webhook_secret, &mut self.audit_secret] {
            if secret.is_empty() {
                *secret = root_secret();
                is_complete = false;
            }
        }
        if !is_complete {
            directory.write_json(SECRETS, &self)?;
        }
        Ok(self)
    }
}

/// Generates a secret from which keys are derived.
fn root_secret() -> String {
    HEXLOWER.encode(&random::<32>())
}

/// Generates an id and a secret in the format of AWS access keys.
fn access_key() -> (String, String) {
    (format!("SIO{}", &BASE32_NOPAD.encode(&random::<16>())[..17]), BASE64URL_NOPAD.encode(&random::<30>()))
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_generated_once_and_not_shown_by_debug() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = DataDir::open(scratch.path()).unwrap();
        let generated = Secrets::load_or_generate(&directory).unwrap();
        let loaded = Secrets::load_or_generate(&directory).unwrap();
        assert_eq!(generated.s3_secret_access_key, loaded.s3_secret_access_key);
        assert_eq!(generated.cdn_private_key, loaded.cdn_private_key);
        assert_eq!((generated.webhook_secret.len(), &generated.webhook_secret), (64, &loaded.webhook_secret));
        assert_eq!((generated.audit_secret.len(), &generated.audit_secret), (64, &loaded.audit_secret));
        assert_ne!(generated.audit_secret, generated.webhook_secret);
        assert!(!format!("{generated:?}").contains(&generated.s3_secret_access_key));
    }

    #[test]
    fn a_file_of_an_older_version_gets_the_missing_keys_and_keeps_the_others() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = DataDir::open(scratch.path()).unwrap();
        let generated = Secrets::load_or_generate(&directory).unwrap();
        let mut file: serde_json::Value = directory.read_json(SECRETS).unwrap().unwrap();
        let file = file.as_object_mut().unwrap();
        for name in ["homeAccessKeyId", "homeSecretAccessKey", "webhookSecret", "auditSecret"] {
            assert!(file.remove(name).is_some(), "{name}");
        }
        directory.write_json(SECRETS, file).unwrap();
        let loaded = Secrets::load_or_generate(&directory).unwrap();
        assert_eq!(generated.cdn_private_key, loaded.cdn_private_key);
        assert_eq!((loaded.home_access_key_id.len(), loaded.home_secret_access_key.len()), (20, 40));
        assert_eq!((loaded.webhook_secret.len(), loaded.audit_secret.len()), (64, 64));
        let again = Secrets::load_or_generate(&directory).unwrap();
        assert_eq!(loaded.home_secret_access_key, again.home_secret_access_key);
        assert_eq!(loaded.webhook_secret, again.webhook_secret);
        assert_eq!(loaded.audit_secret, again.audit_secret);
    }
}
