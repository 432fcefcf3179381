//! The digests that a client gives for the bytes it stores, and whether they are right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use s3s::{S3Result, TrailingHeaders, s3_error};

use crate::s3::checksum::{ChecksumAlgorithm, decode};
use crate::s3::store::Staged;

/// What the headers announce of a body: digests to come out right, now or in its trailers.
pub(super) struct Announced {
    md5: Option<[u8; 16]>,
    checksum: Option<(ChecksumAlgorithm, Value)>,
    length: u64,
}

enum Value {
    Known(String),
    InTrailer,
}

impl Announced {
    /// Reads `Content-MD5`, the `x-amz-checksum-*` headers and `x-amz-trailer`. `length` is that of the bytes without
    /// their transfer encoding.
    pub(super) fn read(headers: &HeaderMap, length: Option<i64>) -> S3Result<Self> {
        // A body in chunks of either kind has no length of its own, but may tell that of its content.
        let decoded =
            headers.get("x-amz-decoded-content-length").and_then(|length| length.to_str().ok()?.parse().ok());
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

    /// The size of the bytes to come.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The checksum to compute while receiving.
    pub(super) fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm)
    }

    /// Compares with what was received.
    pub(super) fn verify(self, staged: &Staged, trailers: Option<&TrailingHeaders>) -> S3Result<()> {
        if staged.size() != self.length {
            return Err(s3_error!(
                IncompleteBody,
                "{} of {} bytes were received",
                staged.size(),
                self.length
            ));
        }
        if self.md5.is_some_and(|digest| digest != staged.md5()) {
            return Err(s3_error!(BadDigest, "the Content-MD5 given is not that of the data received"));
        }
        if let Some((algorithm, value)) = self.checksum {
            let name = algorithm.header();
            let given = match value {
                Value::Known(value) => value,
                Value::InTrailer => trailers
                    .and_then(|trailers| {
                        trailers.read(|headers| headers.get(name)?.to_str().ok().map(str::to_owned))
                    })
                    .flatten()
                    .filter(|value| decode(algorithm, value).is_some())
                    .ok_or_else(|| {
                        s3_error!(InvalidRequest, "the trailer {name} was announced but not sent")
                    })?,
            };
            if staged.checksum() != Some((algorithm, given.as_str())) {
                return Err(s3_error!(BadDigest, "the {name} given is not that of the data received"));
            }
        }
        Ok(())
    }
}

/// The one additional checksum that a request has.
fn checksum(headers: &HeaderMap) -> S3Result<Option<(ChecksumAlgorithm, Value)>> {
    let mut found = Vec::new();
    for algorithm in ChecksumAlgorithm::ALL {
        if let Some(value) = headers.get(algorithm.header()) {
            let value = value.to_str().ok().filter(|value| decode(algorithm, value).is_some());
            let value = value.ok_or_else(|| {
                let (name, bytes) = (algorithm.header(), algorithm.bytes());
                s3_error!(InvalidRequest, "the value of {name} must be {bytes} bytes in base64")
            })?;
            found.push((algorithm, Value::Known(value.to_owned())));
        }
    }
    let trailers = headers.get("x-amz-trailer").and_then(|names| names.to_str().ok()).unwrap_or_default();
    for name in trailers.split(',').map(|name| name.trim().to_ascii_lowercase()) {
        if let Some(algorithm) =
            ChecksumAlgorithm::ALL.into_iter().find(|algorithm| algorithm.header() == name)
        {
            found.push((algorithm, Value::InTrailer));
        }
    }
    if found.len() > 1 {
        return Err(s3_error!(InvalidRequest, "send one checksum, as a header or as a trailer"));
    }
    Ok(found.pop())
}
