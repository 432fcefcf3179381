//! The elements of error documents that say what differs, with the names that S3 gives them.

use http::Method;

use crate::s3::error::StoreError;
use crate::s3::limits::{MAX_KEY_BYTES, MAX_PUT_BYTES};
use crate::s3::refusal::Details;

/// The details of an error of the store in a request with the given method; none for internal errors.
pub(super) fn details(error: &StoreError, method: &Method) -> Details {
    match error {
        StoreError::NoSuchBucket { bucket }
        | StoreError::InvalidBucketName { bucket }
        | StoreError::BucketExists { bucket }
        | StoreError::VersioningStays { bucket } => vec![("BucketName", bucket.clone())],
        StoreError::NoSuchKey { key } | StoreError::DeleteMarker { key, requested: false, .. } => {
            vec![("Key", key.clone())]
        }
        StoreError::DeleteMarker { requested: true, .. } => {
            vec![("Method", method.to_string()), ("ResourceType", "DeleteMarker".to_owned())]
        }
        StoreError::NoSuchVersion { key, version_id } => {
            vec![("Key", key.clone()), ("VersionId", version_id.clone())]
        }
        StoreError::InvalidVersionId { version_id } => argument("version-id-marker", version_id.clone()),
        StoreError::InvalidPartNumber { number } => argument("partNumber", number.to_string()),
        StoreError::KeyTooLong { bytes } => {
            vec![("Size", bytes.to_string()), ("MaxSizeAllowed", MAX_KEY_BYTES.to_string())]
        }
        StoreError::NoSuchUpload { upload_id } => vec![("UploadId", upload_id.clone())],
        StoreError::PreconditionFailed { header, .. } => vec![("Condition", (*header).to_owned())],
        StoreError::TooLarge { size } => {
            vec![("ProposedSize", size.to_string()), ("MaxSizeAllowed", MAX_PUT_BYTES.to_string())]
        }
        StoreError::PartTooSmall { number, size, minimum, etag } => vec![
            ("ProposedSize", size.to_string()),
            ("MinSizeAllowed", minimum.to_string()),
            ("PartNumber", number.to_string()),
            ("ETag", etag.clone()),
        ],
        StoreError::InvalidPart { upload_id, number, etag, .. } => {
            vec![("UploadId", upload_id.clone()), ("PartNumber", number.to_string()), ("ETag", etag.clone())]
        }
        StoreError::DigestMismatch { expected, calculated, .. } => {
            vec![("ExpectedDigest", expected.clone()), ("CalculatedDigest", calculated.clone())]
        }
        StoreError::Incomplete { declared, received } => {
            vec![("NumberBytesExpected", declared.to_string()), ("NumberBytesProvided", received.to_string())]
        }
        StoreError::InvalidKey { .. }
        | StoreError::InvalidPartOrder
        | StoreError::NoParts
        | StoreError::SizeMismatch { .. }
        | StoreError::Body(_)
        | StoreError::NoSpace { .. }
        | StoreError::InUse { .. }
        | StoreError::IndexMissing { .. }
        | StoreError::IndexDamaged { .. }
        | StoreError::IndexOutdated { .. }
        | StoreError::SchemaTooNew { .. }
        | StoreError::Database(_)
        | StoreError::Io { .. }
        | StoreError::Damaged { .. }
        | StoreError::Task(_) => Vec::new(),
    }
}

fn argument(name: &str, value: String) -> Details {
    vec![("ArgumentName", name.to_owned()), ("ArgumentValue", value)]
}
