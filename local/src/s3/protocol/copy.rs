//! `CopyObject` and `UploadPartCopy`.

use std::ops::Range as Bytes;

use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource, ETag, MetadataDirective,
    Range, UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::Operations;
use super::condition::{ReadConditions, Verdict, condition, precondition, precondition_failed};
use super::put::{Given, headers};
use super::refusal::{Refusals, refuse_version};
use super::sums::Sums;
use crate::s3::error::StoreError;
use crate::s3::object::{MAX_PUT_BYTES, ObjectMeta};
use crate::s3::store::check_part_number;

pub(super) async fn object(
    operations: &Operations,
    request: S3Request<CopyObjectInput>,
    refusals: Refusals,
) -> S3Result<CopyObjectOutput> {
    let input = request.input;
    let refuse = |error: StoreError| refusals.refuse(error);
    let source = source(&input.copy_source)?;
    let replaces = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => false,
        Some(MetadataDirective::REPLACE) => true,
        Some(_) => {
            return Err(s3_error!(InvalidArgument, "x-amz-metadata-directive must be COPY or REPLACE"));
        }
    };
    if source == (input.bucket.as_str(), input.key.as_str()) && !replaces {
        return Err(s3_error!(InvalidRequest, "an object copied to itself must be given other metadata"));
    }
    let new_headers = headers(Given {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_language: input.content_language,
        content_disposition: input.content_disposition,
        cache_control: input.cache_control,
        expires: input.expires,
        metadata: input.metadata,
    })?;
    // Conditions on the target are newer than the request type of `s3s`.
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
    let found = operations.store.head(source.0, source.1).await.map_err(refuse)?;
    let found = found.ok_or_else(|| refuse(StoreError::NoSuchKey { key: source.1.to_owned() }))?;
    let conditional = !conditions.is_empty();
    judge(conditions, &found)?;
    let meta = operations
        .store
        .copy(
            source,
            // What was judged must be what is copied.
            conditional.then_some(found.etag.as_str()),
            (&input.bucket, &input.key),
            replaces.then_some(new_headers),
            precondition,
        )
        .await
        .map_err(refuse)?;
    let sums = Sums::of_object(meta.checksum.as_ref());
    Ok(CopyObjectOutput {
        copy_object_result: Some(CopyObjectResult {
            e_tag: Some(ETag::Strong(meta.etag)),
            last_modified: Some(meta.last_modified.into()),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..Default::default()
        }),
        ..Default::default()
    })
}

pub(super) async fn part(
    operations: &Operations,
    request: S3Request<UploadPartCopyInput>,
    refusals: Refusals,
) -> S3Result<UploadPartCopyOutput> {
    let input = request.input;
    let refuse = |error: StoreError| refusals.refuse(error);
    let source = source(&input.copy_source)?;
    let number = check_part_number(i64::from(input.part_number)).map_err(refuse)?;
    let store = &operations.store;
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id).await.map_err(refuse)?;
    let found = store.get(source.0, source.1).await.map_err(refuse)?;
    let found = found.ok_or_else(|| refuse(StoreError::NoSuchKey { key: source.1.to_owned() }))?;
    let conditions = ReadConditions {
        matches: input.copy_source_if_match,
        none_match: input.copy_source_if_none_match,
        modified_since: input.copy_source_if_modified_since,
        unmodified_since: input.copy_source_if_unmodified_since,
    };
    judge(conditions, found.meta())?;
    let bytes = copied(input.copy_source_range.as_deref(), found.meta().size)?;
    if bytes.end - bytes.start > MAX_PUT_BYTES {
        return Err(refuse(StoreError::TooLarge));
    }
    let algorithm = upload.checksum.map(|(algorithm, _)| algorithm);
    let staged = store.stage(found.stream(bytes), algorithm).await.map_err(|error| match error {
        // The body is our own object here.
        StoreError::Body(source) => refuse(StoreError::Io {
            doing: "reading the copied object",
            source: std::io::Error::other(source),
        }),
        error => refuse(error),
    })?;
    let part =
        store.put_part(&input.bucket, &input.key, &input.upload_id, number, staged).await.map_err(refuse)?;
    let sums = Sums::of(part.checksum);
    Ok(UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            e_tag: Some(ETag::Strong(part.etag)),
            last_modified: Some(part.last_modified.into()),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
        }),
        ..Default::default()
    })
}

/// The source's bucket and key.
fn source(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => {
            refuse_version(version_id.as_deref())?;
            Ok((bucket, key))
        }
        _ => Err(s3_error!(NotImplemented, "x-amz-copy-source must be /bucket/key")),
    }
}

/// Judges the `x-amz-copy-source-if-*` conditions: unlike with a read, all of them are preconditions.
fn judge(conditions: ReadConditions, source: &ObjectMeta) -> S3Result<()> {
    if conditions.judge(source) == Verdict::Met { Ok(()) } else { Err(precondition_failed()) }
}

/// The bytes of the source to copy. Unlike with a read, a range must lie within the object.
fn copied(range: Option<&str>, size: u64) -> S3Result<Bytes<u64>> {
    let Some(range) = range else { return Ok(0..size) };
    match Range::parse(range) {
        Ok(Range::Int { first, last: Some(last) }) if last < size => Ok(first..last + 1),
        Ok(Range::Int { last: Some(_), .. }) => {
            Err(s3_error!(InvalidRange, "the source has {size} bytes; the range must lie within them"))
        }
        _ => Err(s3_error!(InvalidArgument, "x-amz-copy-source-range must be bytes=first-last")),
    }
}
