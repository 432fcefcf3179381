//! Digests that the headers of a request give for its body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Method};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::Fault;
use crate::s3::checksum::{ChecksumAlgorithm, Hasher};

/// The digests to check. Of an object's or part's bytes (`PUT`) only the SHA-256 that is part of the signature: the
/// others are checked where the bytes are stored, after their encoding is undone.
pub(super) struct Digests {
    /// How many bytes are to come, if announced.
    left: Option<u64>,
    sha256: Option<(Sha256, Vec<u8>)>,
    md5: Option<(Md5, String)>,
    checksum: Option<(Hasher, String)>,
}

impl Digests {
    pub(super) fn announced(request: &Parts) -> Self {
        let headers = &request.headers;
        let sha256 = value(headers, "x-amz-content-sha256")
            .and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok())
            .filter(|digest| digest.len() == 32);
        let is_document = request.method == Method::POST;
        // When an upload is completed, the same header gives the checksum of the object.
        let deletes =
            request.uri.query().is_some_and(|query| query.split('&').any(|name| name.starts_with("delete")));
        let checksum = ChecksumAlgorithm::ALL
            .into_iter()
            .find_map(|algorithm| Some((Hasher::new(algorithm), value(headers, algorithm.header())?)));
        Self {
            left: value(headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok()),
            sha256: sha256.map(|digest| (Sha256::new(), digest)),
            md5: value(headers, "content-md5").filter(|_| is_document).map(|digest| (Md5::new(), digest)),
            checksum: checksum.filter(|_| is_document && deletes),
        }
    }

    /// How many bytes are to come, if that was announced.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
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

    /// Compares, once all bytes are there; what has been compared is not compared again.
    pub(super) fn check(&mut self) -> Result<(), Fault> {
        if let Some((hasher, expected)) = self.sha256.take()
            && hasher.finalize()[..] != expected[..]
        {
            return Err(Fault::Sha256);
        }
        if let Some((hasher, expected)) = self.md5.take()
            && STANDARD.encode(hasher.finalize()) != expected
        {
            return Err(Fault::Digest);
        }
        if let Some((hasher, expected)) = self.checksum.take()
            && hasher.finish() != expected
        {
            return Err(Fault::Digest);
        }
        Ok(())
    }
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
