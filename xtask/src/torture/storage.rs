//! Reads versions of sources from the platform's object store, with requests that are signed here: the platform's own code has no part
//! in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use time::macros::format_description;
use time::{OffsetDateTime, UtcDateTime};

use crate::platform::api::download_if_present;

/// What is not encoded: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const SCOPE: &str = "us-east-1/s3/aws4_request";

/// The members of `secrets.json` that are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secrets {
    s3_access_key_id: String,
    s3_secret_access_key: String,
}

/// The object store of a running platform.
pub(super) struct Storage {
    url: String,
    secrets: Secrets,
}

impl Storage {
    /// The store at `url`, with the key in the data directory.
    pub(super) fn open(url: &str, data: &Path) -> Result<Self> {
        let file = data.join("secrets.json");
        let json = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { url: url.to_owned(), secrets: serde_json::from_slice(&json)? })
    }

    /// The bytes of a version of a source; `None` if the store has no such version.
    pub(super) fn source(&self, key: &str, version: &str) -> Result<Option<Vec<u8>>> {
        let url = self.presigned(key, version, UtcDateTime::from(OffsetDateTime::now_utc()))?;
        download_if_present(&url).with_context(|| format!("version {version} of {key}"))
    }

    /// A presigned URL: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>.
    fn presigned(&self, key: &str, version: &str, now: UtcDateTime) -> Result<String> {
        let day = now.format(format_description!("[year][month][day]"))?;
        let moment = now.format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
        let key: Vec<String> = key.split('/').map(encoded).collect();
        let path = format!("/raw/{}", key.join("/"));
        let scope = format!("{day}/{SCOPE}");
        let credential = format!("{}/{scope}", self.secrets.s3_access_key_id);
        // In the order of the names' bytes.
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={moment}&X-Amz-Expires=3600\
             &X-Amz-SignedHeaders=host&versionId={}",
            encoded(&credential),
            encoded(version)
        );
        let host = self.url.trim_start_matches("http://");
        let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
        let text = format!(
            "AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}",
            HEXLOWER.encode(&Sha256::digest(request.as_bytes()))
        );
        let mut key = format!("AWS4{}", self.secrets.s3_secret_access_key).into_bytes();
        for word in std::iter::once(day.as_str()).chain(SCOPE.split('/')) {
            key = authenticated(&key, word);
        }
        let signature = HEXLOWER.encode(&authenticated(&key, &text));
        Ok(format!("{}{path}?{query}&X-Amz-Signature={signature}", self.url))
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn authenticated(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
