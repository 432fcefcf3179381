//! The store's errors as S3's error codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use http::HeaderMap;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, s3_error};

use crate::s3::error::StoreError;
use crate::s3::service::Context;

/// Request headers that ask for what this server does not do. Ignoring them would be a lie about the stored object.
const UNSUPPORTED: [&str; 9] = [
    "x-amz-tagging",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-legal-hold",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
    "x-amz-rename-source",
];

/// Refuses requests for features that the server lacks.
pub(super) fn refuse_unsupported(headers: &HeaderMap) -> S3Result<()> {
    match UNSUPPORTED.iter().find(|name| headers.contains_key(**name)) {
        Some(name) => {
            Err(s3_error!(NotImplemented, "the header {name} asks for something this server does not do"))
        }
        None => Ok(()),
    }
}

/// Objects have no versions but the one that is there, which S3 calls `null`.
pub(super) fn refuse_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3_error!(NoSuchVersion, "buckets here keep no versions")),
    }
}

/// Turns the store's errors into answers, and keeps what is not the client's fault for the log.
pub(super) struct Refusals {
    context: Context,
    /// A body that fails to be read fails for its signature, when each of its chunks is signed.
    signed_chunks: bool,
}

impl Refusals {
    pub(super) fn of<T>(request: &S3Request<T>) -> Self {
        let payload = request.headers.get("x-amz-content-sha256").map_or(&b""[..], |value| value.as_bytes());
        Self {
            context: request.extensions.get::<Context>().cloned().unwrap_or_default(),
            signed_chunks: payload.starts_with(b"STREAMING-AWS4-"),
        }
    }

    /// The answer to an error.
    pub(super) fn refuse(&self, error: StoreError) -> S3Error {
        if error.is_internal() {
            self.context.failed(error);
            return s3_error!(InternalError, "the object store failed; the operator's log says why");
        }
        S3Error::with_message(self.code(&error), error.to_string())
    }

    fn code(&self, error: &StoreError) -> S3ErrorCode {
        match error {
            StoreError::NoSuchBucket { .. } => S3ErrorCode::NoSuchBucket,
            StoreError::InvalidBucketName { .. } => S3ErrorCode::InvalidBucketName,
            StoreError::BucketExists { .. } => S3ErrorCode::BucketAlreadyOwnedByYou,
            StoreError::NoSuchKey { .. } => S3ErrorCode::NoSuchKey,
            StoreError::KeyTooLong { .. } => S3ErrorCode::KeyTooLongError,
            StoreError::NoSuchUpload { .. } => S3ErrorCode::NoSuchUpload,
            StoreError::PreconditionFailed { .. } => S3ErrorCode::PreconditionFailed,
            StoreError::TooLarge => S3ErrorCode::EntityTooLarge,
            StoreError::PartTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            StoreError::InvalidKey { .. } | StoreError::InvalidPartNumber { .. } => {
                S3ErrorCode::InvalidArgument
            }
            StoreError::InvalidPart { .. } => S3ErrorCode::InvalidPart,
            StoreError::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
            StoreError::NoParts => S3ErrorCode::MalformedXML,
            StoreError::DigestMismatch { .. } => S3ErrorCode::BadDigest,
            StoreError::SizeMismatch { .. } => S3ErrorCode::InvalidRequest,
            StoreError::Body(_) if self.signed_chunks => S3ErrorCode::SignatureDoesNotMatch,
            StoreError::Body(_) => S3ErrorCode::IncompleteBody,
            StoreError::InUse { .. }
            | StoreError::SchemaTooNew { .. }
            | StoreError::Database(_)
            | StoreError::Io { .. }
            | StoreError::Damaged { .. }
            | StoreError::Task(_) => S3ErrorCode::InternalError,
        }
    }
}
