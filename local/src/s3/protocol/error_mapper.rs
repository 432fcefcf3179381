//! Maps the store's errors to S3's error codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use http::header::{ALLOW, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, s3_error};
use time::OffsetDateTime;

use super::condition::http_date;
use super::error_details::details;
use crate::s3::error::StoreError;
use crate::s3::refusal::Details;
use crate::s3::request_context::RequestContext;

pub(super) const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");
const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");

/// Headers of unsupported features. A request with one of them is refused: if the header were ignored, the client would
/// believe that the object was stored as requested.
const UNSUPPORTED_HEADERS: [&str; 9] = [
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

/// Refuses a request that has one of [`UNSUPPORTED_HEADERS`].
pub(super) fn refuse_unsupported(headers: &HeaderMap) -> S3Result<()> {
    match UNSUPPORTED_HEADERS.iter().find(|name| headers.contains_key(**name)) {
        Some(name) => Err(s3_error!(NotImplemented, "this server does not support the header {name}")),
        None => Ok(()),
    }
}

/// Maps the store's errors to S3 errors and records internal errors for the access log.
pub(super) struct ErrorMapper {
    context: RequestContext,
    method: Method,
    /// Whether each chunk of the body is signed: an error in reading such a body is a wrong signature.
    has_signed_chunks: bool,
}

impl ErrorMapper {
    pub(super) fn for_request<T>(request: &S3Request<T>) -> Self {
        let payload = request.headers.get("x-amz-content-sha256").map_or(&b""[..], |value| value.as_bytes());
        Self {
            context: request.extensions.get::<RequestContext>().cloned().unwrap_or_default(),
            method: request.method.clone(),
            has_signed_chunks: payload.starts_with(b"STREAMING-AWS4-"),
        }
    }

    /// The S3 error for an error of the store.
    pub(super) fn to_s3(&self, error: StoreError) -> S3Error {
        if error.is_internal() {
            self.context.record_error(error);
            return s3_error!(InternalError, "the object store failed; see the server's log");
        }
        self.context.set_details(details(&error, &self.method));
        let mut s3_error = S3Error::with_message(self.code(&error), error.to_string());
        if let StoreError::DeleteMarker { version_id, last_modified, requested, .. } = &error {
            s3_error.set_headers(delete_marker_headers(version_id, *last_modified, *requested));
        }
        s3_error
    }

    /// The error, with details in the response.
    pub(super) fn with_details(&self, error: S3Error, details: Details) -> S3Error {
        self.context.set_details(details);
        error
    }

    fn code(&self, error: &StoreError) -> S3ErrorCode {
        match error {
            StoreError::NoSuchBucket { .. } => S3ErrorCode::NoSuchBucket,
            StoreError::InvalidBucketName { .. } => S3ErrorCode::InvalidBucketName,
            StoreError::BucketExists { .. } => S3ErrorCode::BucketAlreadyOwnedByYou,
            StoreError::NoSuchKey { .. } | StoreError::DeleteMarker { requested: false, .. } => {
                S3ErrorCode::NoSuchKey
            }
            StoreError::DeleteMarker { requested: true, .. } => S3ErrorCode::MethodNotAllowed,
            StoreError::NoSuchVersion { .. } => S3ErrorCode::NoSuchVersion,
            StoreError::VersioningStays { .. } => S3ErrorCode::InvalidBucketState,
            StoreError::KeyTooLong { .. } => S3ErrorCode::KeyTooLongError,
            StoreError::NoSuchUpload { .. } => S3ErrorCode::NoSuchUpload,
            StoreError::PreconditionFailed { .. } => S3ErrorCode::PreconditionFailed,
            StoreError::TooLarge { .. } => S3ErrorCode::EntityTooLarge,
            StoreError::PartTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            StoreError::InvalidKey { .. }
            | StoreError::InvalidVersionId { .. }
            | StoreError::InvalidPartNumber { .. } => S3ErrorCode::InvalidArgument,
            StoreError::InvalidPart { .. } => S3ErrorCode::InvalidPart,
            StoreError::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
            StoreError::NoParts => S3ErrorCode::MalformedXML,
            StoreError::DigestMismatch { .. } => S3ErrorCode::BadDigest,
            StoreError::SizeMismatch { .. } => S3ErrorCode::InvalidRequest,
            StoreError::NoSpace { .. } => S3ErrorCode::SlowDown,
            StoreError::Body(_) if self.has_signed_chunks => S3ErrorCode::SignatureDoesNotMatch,
            StoreError::Body(_) | StoreError::Incomplete { .. } => S3ErrorCode::IncompleteBody,
            StoreError::InUse { .. }
            | StoreError::IndexMissing { .. }
            | StoreError::IndexDamaged { .. }
            | StoreError::IndexOutdated { .. }
            | StoreError::SchemaTooNew { .. }
            | StoreError::Database(_)
            | StoreError::Io { .. }
            | StoreError::Damaged { .. }
            | StoreError::Task(_) => S3ErrorCode::InternalError,
        }
    }
}

/// The headers that tell a delete marker from a key that never existed:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html>.
fn delete_marker_headers(version_id: &str, last_modified: OffsetDateTime, requested: bool) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(DELETE_MARKER, HeaderValue::from_static("true"))]);
    if let Ok(version_id) = HeaderValue::from_str(version_id) {
        headers.insert(VERSION_ID, version_id);
    }
    if requested {
        headers.insert(ALLOW, HeaderValue::from_static("DELETE"));
        headers.extend(http_date(last_modified).map(|date| (LAST_MODIFIED, date)));
    }
    headers
}
