//! The size and digests that a client declares for the bytes that it stores, and their verification.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use s3s::{S3Result, TrailingHeaders, s3_error};
use streamio_events::digits;

use super::error_mapper::ErrorMapper;
use crate::s3::checksum::{ChecksumAlgorithm, decode};
use crate::s3::error::StoreError;
use crate::s3::store::Staged;

/// The size and digests that the headers declare. The value of a checksum may follow in a trailer.
pub(super) struct DeclaredDigests {
    md5: Option<[u8; 16]>,
    checksum: Option<(ChecksumAlgorithm, DeclaredValue)>,
    length: u64,
}

enum DeclaredValue {
    Header(String),
    Trailer,
}

impl DeclaredDigests {
    /// Reads `Content-MD5`, the `x-amz-checksum-*` headers and `x-amz-trailer`. `length` is the length of the decoded
    /// bytes.
    pub(super) fn read(headers: &HeaderMap, length: Option<i64>) -> S3Result<Self> {
        // A chunked body has no Content-Length, but may have the length of its decoded content.
        let decoded = headers
            .get("x-amz-decoded-content-length")
            .and_then(|length| digits::number(length.to_str().ok()?));
        let length = length
            .and_then(|length| u64::try_from(length).ok())
            .or(decoded)
            .ok_or_else(|| s3_error!(MissingContentLength, "send Content-Length"))?;
        let md5 = headers
            .get("content-md5")
            .map(|value| STANDARD.decode(value.as_bytes()).ok().and_then(|digest| digest.try_into().ok()));
        let md5 = match md5 {
            Some(None) => return Err(s3_error!(InvalidDigest, "Content-MD5 must be 16 bytes in base64")),
            Some(digest) => digest,
            None => None,
        };
        Ok(Self { md5, checksum: checksum(headers)?, length })
    }

    /// The declared size in bytes, decoded.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The algorithm of the declared checksum.
    pub(super) fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm)
    }

    /// Compares the declared size and digests with the received bytes.
    pub(super) fn verify(
        self,
        staged: &Staged,
        trailers: Option<&TrailingHeaders>,
        errors: &ErrorMapper,
    ) -> S3Result<()> {
        let mismatch = |name, expected, calculated| {
            errors.to_s3(StoreError::DigestMismatch { name, expected, calculated })
        };
        if staged.size() != self.length {
            let (declared, received) = (self.length, staged.size());
            return Err(errors.to_s3(StoreError::Incomplete { declared, received }));
        }
        if let Some(expected) = self.md5.filter(|digest| *digest != staged.md5()) {
            return Err(mismatch("Content-MD5", STANDARD.encode(expected), STANDARD.encode(staged.md5())));
        }
        if let Some((algorithm, value)) = self.checksum {
            let name = algorithm.header();
            let expected = match value {
                DeclaredValue::Header(value) => value,
                DeclaredValue::Trailer => trailers
                    .and_then(|trailers| {
                        trailers.read(|headers| headers.get(name)?.to_str().ok().map(str::to_owned))
                    })
                    .flatten()
                    .filter(|value| decode(algorithm, value).is_some())
                    .ok_or_else(|| {
                        s3_error!(InvalidRequest, "the trailer {name} was announced but not sent")
                    })?,
            };
            if staged.checksum() != Some((algorithm, expected.as_str())) {
                let calculated = staged.checksum().map_or("", |(_, value)| value).to_owned();
                return Err(mismatch(name, expected, calculated));
            }
        }
        Ok(())
    }
}

/// The additional checksum of a request, if any.
///
/// # Errors
/// `InvalidRequest` for several checksums or a malformed one.
fn checksum(headers: &HeaderMap) -> S3Result<Option<(ChecksumAlgorithm, DeclaredValue)>> {
    let mut found = Vec::new();
    for algorithm in ChecksumAlgorithm::ALL {
        if let Some(value) = headers.get(algorithm.header()) {
            let value = value.to_str().ok().filter(|value| decode(algorithm, value).is_some());
            let value = value.ok_or_else(|| {
                let (name, bytes) = (algorithm.header(), algorithm.bytes());
                s3_error!(InvalidRequest, "the value of {name} must be {bytes} bytes in base64")
            })?;
            found.push((algorithm, DeclaredValue::Header(value.to_owned())));
        }
    }
    let trailers = headers.get("x-amz-trailer").and_then(|names| names.to_str().ok()).unwrap_or_default();
    for name in trailers.split(',').map(|name| name.trim().to_ascii_lowercase()) {
        if let Some(algorithm) =
            ChecksumAlgorithm::ALL.into_iter().find(|algorithm| algorithm.header() == name)
        {
            found.push((algorithm, DeclaredValue::Trailer));
        }
    }
    if found.len() > 1 {
        return Err(s3_error!(InvalidRequest, "send one checksum, as a header or as a trailer"));
    }
    Ok(found.pop())
}
