//! The keys that the platform makes for itself: for its object store and for its CDN.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};
use streamio_edge::sign::key::{KeyKind, PrivateKey};

use crate::data_dir::{DataDir, DataDirError};

const FILE: &str = "secrets.json";

/// The platform's own keys, made at its first start and kept in the data directory.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Secrets {
    /// Names the key with which requests to the object store are signed.
    pub(crate) s3_access_key_id: String,
    /// That key.
    pub(crate) s3_secret_access_key: String,
    /// Names the key pair with which playback URLs are signed.
    pub(crate) cdn_key_pair_id: String,
    /// Its private key, PKCS #8 in PEM.
    pub(crate) cdn_private_key: String,
    /// Names the key with which an edge without a log of its own calls the home region.
    #[serde(default)]
    pub(crate) home_access_key_id: String,
    /// That key. Both are missing in directories of before there was such an edge.
    #[serde(default)]
    pub(crate) home_secret_access_key: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// The secrets in `directory`, made now if there are none.
    pub(crate) fn load_or_make(directory: &DataDir) -> Result<Self, DataDirError> {
        if let Some(secrets) = directory.read_json::<Self>(FILE)? {
            if !secrets.home_access_key_id.is_empty() {
                return Ok(secrets);
            }
            let (home_access_key_id, home_secret_access_key) = access_key();
            let secrets = Self { home_access_key_id, home_secret_access_key, ..secrets };
            directory.write_json(FILE, &secrets)?;
            return Ok(secrets);
        }
        let (s3_access_key_id, s3_secret_access_key) = access_key();
        let (home_access_key_id, home_secret_access_key) = access_key();
        let secrets = Self {
            s3_access_key_id,
            s3_secret_access_key,
            cdn_key_pair_id: format!("K{}", &BASE32_NOPAD.encode(&random::<16>())[..13]),
            // P-256: CloudFront takes it as well as RSA, and a signature costs a tenth.
            cdn_private_key: PrivateKey::generate(KeyKind::P256, random()).to_pem(),
            home_access_key_id,
            home_secret_access_key,
        };
        directory.write_json(FILE, &secrets)?;
        Ok(secrets)
    }
}

/// An id and a secret in the form of AWS's.
fn access_key() -> (String, String) {
    (format!("SIO{}", &BASE32_NOPAD.encode(&random::<16>())[..17]), BASE64URL_NOPAD.encode(&random::<30>()))
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_not_shown() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = DataDir::open(scratch.path()).unwrap();
        let made = Secrets::load_or_make(&directory).unwrap();
        let loaded = Secrets::load_or_make(&directory).unwrap();
        assert_eq!(made.s3_secret_access_key, loaded.s3_secret_access_key);
        assert_eq!(made.cdn_private_key, loaded.cdn_private_key);
        assert!(!format!("{made:?}").contains(&made.s3_secret_access_key));
    }
    #[test]
    fn a_directory_of_before_gets_the_key_that_it_lacks_and_keeps_the_others() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = DataDir::open(scratch.path()).unwrap();
        let made = Secrets::load_or_make(&directory).unwrap();
        let mut file: serde_json::Value = directory.read_json(FILE).unwrap().unwrap();
        let file = file.as_object_mut().unwrap();
        assert!(file.remove("homeAccessKeyId").is_some() && file.remove("homeSecretAccessKey").is_some());
        directory.write_json(FILE, file).unwrap();
        let loaded = Secrets::load_or_make(&directory).unwrap();
        assert_eq!(made.cdn_private_key, loaded.cdn_private_key);
        assert_eq!((loaded.home_access_key_id.len(), loaded.home_secret_access_key.len()), (20, 40));
        let again = Secrets::load_or_make(&directory).unwrap();
        assert_eq!(loaded.home_secret_access_key, again.home_secret_access_key);
    }
}
