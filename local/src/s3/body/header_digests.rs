//! Checks the digests that request headers give for the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Method};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::fault::BodyFault;
use crate::s3::checksum::{ChecksumAlgorithm, Hasher};

/// The digests to check. For a `PUT` only the SHA-256 that is part of the signature; the other digests of an object or
/// part are checked when it is stored, over the decoded bytes.
pub(super) struct HeaderDigests {
    /// Bytes not received yet, if `Content-Length` was sent.
    remaining: Option<u64>,
    sha256: Option<(Sha256, Vec<u8>)>,
    md5: Option<(Md5, String)>,
    checksum: Option<(Hasher, String)>,
}

impl HeaderDigests {
    pub(super) fn of(request: &Parts) -> Self {
        let headers = &request.headers;
        let sha256 = value(headers, "x-amz-content-sha256")
            .and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok())
            .filter(|digest| digest.len() == 32);
        let is_document = request.method == Method::POST;
        // Only of DeleteObjects: in CompleteMultipartUpload the same header gives the checksum of the object.
        let deletes =
            request.uri.query().is_some_and(|query| query.split('&').any(|name| name.starts_with("delete")));
        let checksum = ChecksumAlgorithm::ALL
            .into_iter()
            .find_map(|algorithm| Some((Hasher::new(algorithm), value(headers, algorithm.header())?)));
        Self {
            remaining: value(headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok()),
            sha256: sha256.map(|digest| (Sha256::new(), digest)),
            md5: value(headers, "content-md5").filter(|_| is_document).map(|digest| (Md5::new(), digest)),
            checksum: checksum.filter(|_| is_document && deletes),
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
        if let Some((hasher, _)) = &mut self.checksum {
            hasher.update(bytes);
        }
    }

    /// Compares the digests. Call it after the last byte; a second call does nothing.
    pub(super) fn check(&mut self) -> Result<(), BodyFault> {
        if let Some((hasher, expected)) = self.sha256.take()
            && hasher.finalize()[..] != expected[..]
        {
            return Err(BodyFault::Sha256);
        }
        if let Some((hasher, expected)) = self.md5.take()
            && STANDARD.encode(hasher.finalize()) != expected
        {
            return Err(BodyFault::Digest);
        }
        if let Some((hasher, expected)) = self.checksum.take()
            && hasher.finish() != expected
        {
            return Err(BodyFault::Digest);
        }
        Ok(())
    }
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
