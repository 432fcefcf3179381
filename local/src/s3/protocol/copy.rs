//! `CopyObject` and `UploadPartCopy`.

use std::ops::Range as Bytes;

use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource, ETag, MetadataDirective,
    Range, UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::checksum_fields::ChecksumFields;
use super::condition::{ConditionResult, ReadConditions, condition, precondition, precondition_failed};
use super::error_mapper::ErrorMapper;
use super::operations::Operations;
use super::put::{HeaderFields, object_headers};
use super::versions::requested_version;
use crate::s3::error::StoreError;
use crate::s3::limits::MAX_PUT_BYTES;
use crate::s3::object::ObjectMeta;
use crate::s3::store::{CopiedVersion, check_part_number};

pub(super) async fn object(
    operations: &Operations,
    request: S3Request<CopyObjectInput>,
    errors: ErrorMapper,
) -> S3Result<CopyObjectOutput> {
    let input = request.input;
    let to_s3 = |error: StoreError| errors.to_s3(error);
    let source = source(&input.copy_source)?;
    let replaces_headers = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => false,
        Some(MetadataDirective::REPLACE) => true,
        Some(_) => {
            return Err(s3_error!(InvalidArgument, "x-amz-metadata-directive must be COPY or REPLACE"));
        }
    };
    // A copy of an earlier version makes it the current one again.
    let onto_itself = source.bucket == input.bucket && source.key == input.key && source.version_id.is_none();
    if onto_itself && !replaces_headers {
        return Err(s3_error!(InvalidRequest, "an object can be copied to itself only with other metadata"));
    }
    let new_headers = object_headers(HeaderFields {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_language: input.content_language,
        content_disposition: input.content_disposition,
        cache_control: input.cache_control,
        expires: input.expires,
        metadata: input.metadata,
    })?;
    // The request type of `s3s` has no fields for conditions on the target.
    let precondition = precondition(
        condition(&request.headers, "if-match")?,
        condition(&request.headers, "if-none-match")?,
    )?;
    let conditions = ReadConditions {
        matches: input.copy_source_if_match,
        none_match: input.copy_source_if_none_match,
        modified_since: input.copy_source_if_modified_since,
        unmodified_since: input.copy_source_if_unmodified_since,
    };
    let found = operations.store.find(source.bucket, source.key, source.version_id).await;
    let found = found.map_err(|error| source_error(error, &errors))?;
    let conditional = !conditions.is_empty();
    check_source(conditions, &found)?;
    let meta = operations
        .store
        .copy(
            CopiedVersion { version_id: found.version_id.as_deref(), ..source },
            // Copies only the version whose conditions were checked.
            conditional.then_some(found.etag.as_str()),
            (&input.bucket, &input.key),
            replaces_headers.then_some(new_headers),
            precondition,
        )
        .await
        .map_err(to_s3)?;
    let checksums = ChecksumFields::of_object(meta.checksum.as_ref());
    Ok(CopyObjectOutput {
        version_id: meta.version_id,
        copy_source_version_id: found.version_id,
        copy_object_result: Some(CopyObjectResult {
            e_tag: Some(ETag::Strong(meta.etag)),
            last_modified: Some(meta.last_modified.into()),
            checksum_crc32: checksums.crc32,
            checksum_crc32c: checksums.crc32c,
            checksum_crc64nvme: checksums.crc64nvme,
            checksum_sha1: checksums.sha1,
            checksum_sha256: checksums.sha256,
            ..Default::default()
        }),
        ..Default::default()
    })
}

pub(super) async fn part(
    operations: &Operations,
    request: S3Request<UploadPartCopyInput>,
    errors: ErrorMapper,
) -> S3Result<UploadPartCopyOutput> {
    let input = request.input;
    let to_s3 = |error: StoreError| errors.to_s3(error);
    let source = source(&input.copy_source)?;
    let number = check_part_number(i64::from(input.part_number)).map_err(to_s3)?;
    let store = &operations.store;
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id).await.map_err(to_s3)?;
    let found = store.open_version(source.bucket, source.key, source.version_id).await;
    let found = found.map_err(|error| source_error(error, &errors))?;
    let conditions = ReadConditions {
        matches: input.copy_source_if_match,
        none_match: input.copy_source_if_none_match,
        modified_since: input.copy_source_if_modified_since,
        unmodified_since: input.copy_source_if_unmodified_since,
    };
    check_source(conditions, found.meta())?;
    let bytes = copied_bytes(input.copy_source_range.as_deref(), found.meta().size)?;
    let size = bytes.end - bytes.start;
    if size > MAX_PUT_BYTES {
        return Err(to_s3(StoreError::TooLarge { size }));
    }
    let algorithm = upload.checksum.map(|(algorithm, _)| algorithm);
    let staged = store.stage(found.stream(bytes), algorithm).await.map_err(|error| match error {
        // The body is an object of this store, so failing to read it is an internal error.
        StoreError::Body(source) => to_s3(StoreError::Io {
            operation: "reading the copied object",
            source: std::io::Error::other(source),
        }),
        error => to_s3(error),
    })?;
    let part =
        store.put_part(&input.bucket, &input.key, &input.upload_id, number, staged).await.map_err(to_s3)?;
    let checksums = ChecksumFields::of(part.checksum);
    Ok(UploadPartCopyOutput {
        copy_source_version_id: found.meta().version_id.clone(),
        copy_part_result: Some(CopyPartResult {
            e_tag: Some(ETag::Strong(part.etag)),
            last_modified: Some(part.last_modified.into()),
            checksum_crc32: checksums.crc32,
            checksum_crc32c: checksums.crc32c,
            checksum_crc64nvme: checksums.crc64nvme,
            checksum_sha1: checksums.sha1,
            checksum_sha256: checksums.sha256,
        }),
        ..Default::default()
    })
}

/// The source, without access points.
fn source(source: &CopySource) -> S3Result<CopiedVersion<'_>> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => {
            let version_id = requested_version(version_id.as_deref())?;
            Ok(CopiedVersion { bucket, key, version_id })
        }
        _ => Err(s3_error!(NotImplemented, "x-amz-copy-source must be /bucket/key[?versionId=id]")),
    }
}

/// The S3 error for an error in finding the source.
fn source_error(error: StoreError, errors: &ErrorMapper) -> S3Error {
    match error {
        StoreError::DeleteMarker { requested: true, .. } => {
            s3_error!(InvalidRequest, "the source of a copy cannot be a delete marker")
        }
        error => errors.to_s3(error),
    }
}

/// Checks the `x-amz-copy-source-if-*` conditions. Unlike for a read, each one that does not hold fails the request.
fn check_source(conditions: ReadConditions, source: &ObjectMeta) -> S3Result<()> {
    if conditions.evaluate(source) == ConditionResult::Met { Ok(()) } else { Err(precondition_failed()) }
}

/// The bytes of the source to copy. Unlike for a read, the range must lie within the object.
fn copied_bytes(range: Option<&str>, size: u64) -> S3Result<Bytes<u64>> {
    let Some(range) = range else { return Ok(0..size) };
    match Range::parse(range) {
        Ok(Range::Int { first, last: Some(last) }) if last < size => Ok(first..last + 1),
        Ok(Range::Int { last: Some(_), .. }) => {
            Err(s3_error!(InvalidRange, "the source has {size} bytes; the range must lie within them"))
        }
        _ => Err(s3_error!(InvalidArgument, "x-amz-copy-source-range must be bytes=first-last")),
    }
}
