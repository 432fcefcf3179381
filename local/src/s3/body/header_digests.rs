//! Checks the digests that request headers give for the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Method};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::fault::BodyFault;
use crate::s3::checksum::{ChecksumAlgorithm, Hasher};

/// The digests to check. For a `PUT` of an object or part only the SHA-256 that is part of the signature; its other
/// digests are checked when it is stored, over the decoded bytes.
pub(super) struct HeaderDigests {
    /// Bytes not received yet, if `Content-Length` was sent.
    remaining: Option<u64>,
    sha256: Option<(Sha256, Vec<u8>)>,
    md5: Option<(Md5, String)>,
    checksum: Option<(ChecksumAlgorithm, Hasher, String)>,
}

impl HeaderDigests {
    pub(super) fn of(request: &Parts) -> Self {
        let headers = &request.headers;
        let sha256 = value(headers, "x-amz-content-sha256")
            .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok())
            .filter(|digest| digest.len() == 32);
        let has = |subresource: &str| {
            let query = request.uri.query().unwrap_or_default();
            query.split('&').any(|parameter| parameter.split('=').next() == Some(subresource))
        };
        let configures = request.method == Method::PUT && has("versioning");
        let is_document = request.method == Method::POST || configures;
        // Not in CompleteMultipartUpload, where the same header gives the checksum of the object.
        let has_checksum = configures || (is_document && has("delete"));
        let checksum = ChecksumAlgorithm::ALL.into_iter().find_map(|algorithm| {
            Some((algorithm, Hasher::new(algorithm), value(headers, algorithm.header())?))
        });
        Self {
            remaining: value(headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok()),
            sha256: sha256.map(|digest| (Sha256::new(), digest)),
            md5: value(headers, "content-md5").filter(|_| is_document).map(|digest| (Md5::new(), digest)),
            checksum: checksum.filter(|_| has_checksum),
        }
    }

    /// Bytes not received yet, if `Content-Length` was sent.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(bytes.len() as u64));
        if let Some((hasher, _)) = &mut self.sha256 {
            hasher.update(bytes);
        }
        if let Some((hasher, _)) = &mut self.md5 {
            hasher.update(bytes);
        }
        if let Some((_, hasher, _)) = &mut self.checksum {
            hasher.update(bytes);
        }
    }

    /// Compares the digests. Call it after the last byte; a second call does nothing.
    pub(super) fn check(&mut self) -> Result<(), BodyFault> {
        if let Some((hasher, expected)) = self.sha256.take() {
            let calculated = hasher.finalize();
            if calculated[..] != expected[..] {
                let (expected, calculated) = (HEXLOWER.encode(&expected), HEXLOWER.encode(&calculated));
                return Err(BodyFault::Sha256 { expected, calculated });
            }
        }
        if let Some((hasher, expected)) = self.md5.take() {
            compare("Content-MD5", expected, STANDARD.encode(hasher.finalize()))?;
        }
        if let Some((algorithm, hasher, expected)) = self.checksum.take() {
            compare(algorithm.header(), expected, hasher.finish())?;
        }
        Ok(())
    }
}

fn compare(header: &'static str, expected: String, calculated: String) -> Result<(), BodyFault> {
    if expected == calculated { Ok(()) } else { Err(BodyFault::Digest { header, expected, calculated }) }
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
