//! `GetObject` and `HeadObject`.

use std::ops::Range as Bytes;

use futures::TryStreamExt as _;
use http::{HeaderMap, HeaderValue};
use s3s::dto::{
    ChecksumMode, ChecksumType, ETag, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    Range, StreamingBlob, Timestamp,
};
use s3s::{S3Error, S3Request, S3Result, s3_error};
use time::OffsetDateTime;

use super::checksum_fields::ChecksumFields;
use super::condition::{ConditionResult, ReadConditions, not_modified, precondition_failed};
use super::error_mapper::ErrorMapper;
use super::operations::Operations;
use super::versions::requested_version;
use crate::s3::object::ObjectMeta;
use crate::s3::store::{Object, check_part_number};

/// The `Content-Type` that S3 returns for an object whose writer gave none.
const DEFAULT_TYPE: &str = "binary/octet-stream";

pub(super) async fn object(
    operations: &Operations,
    request: S3Request<GetObjectInput>,
    errors: ErrorMapper,
) -> S3Result<GetObjectOutput> {
    let input = request.input;
    let version = requested_version(input.version_id.as_deref())?;
    let conditions = ReadConditions {
        matches: input.if_match,
        none_match: input.if_none_match,
        modified_since: input.if_modified_since,
        unmodified_since: input.if_unmodified_since,
    };
    let object = open(operations, (&input.bucket, &input.key, version), conditions, &errors).await?;
    let range = requested_range(&object, input.range, input.part_number, &errors)?;
    let meta = object.meta();
    let whole = 0..meta.size;
    let bytes = range.clone().unwrap_or(whole);
    let wants_checksum = input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    let checksum = meta.checksum.as_ref().filter(|_| wants_checksum && range.is_none());
    let checksums = ChecksumFields::of_object(checksum);
    let key = meta.key.clone();
    let body = object.stream(bytes.clone()).inspect_err(move |error| {
        // The response has started: it can only be cut off.
        tracing::error!(object.key = key, %error, "an object could not be read to its end; its response is cut off");
    });
    let headers = &meta.headers;
    Ok(GetObjectOutput {
        body: Some(StreamingBlob::wrap(body)),
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(length(&bytes)?),
        content_range: range.map(|range| content_range(&range, meta.size)),
        content_type: Some(headers.content_type.clone().unwrap_or_else(|| DEFAULT_TYPE.to_owned())),
        content_encoding: headers.content_encoding.clone(),
        content_language: headers.content_language.clone(),
        content_disposition: headers.content_disposition.clone(),
        cache_control: headers.cache_control.clone(),
        expires: expires(meta),
        version_id: meta.version_id.clone(),
        e_tag: Some(ETag::Strong(meta.etag.clone())),
        last_modified: Some(meta.last_modified.into()),
        metadata: metadata(meta),
        parts_count: parts_count(meta, input.part_number),
        checksum_type: checksum.map(|checksum| ChecksumType::from_static(checksum.kind.name())),
        checksum_crc32: checksums.crc32,
        checksum_crc32c: checksums.crc32c,
        checksum_crc64nvme: checksums.crc64nvme,
        checksum_sha1: checksums.sha1,
        checksum_sha256: checksums.sha256,
        ..Default::default()
    })
}

pub(super) async fn head(
    operations: &Operations,
    request: S3Request<HeadObjectInput>,
    errors: ErrorMapper,
) -> S3Result<HeadObjectOutput> {
    let input = request.input;
    let version = requested_version(input.version_id.as_deref())?;
    let conditions = ReadConditions {
        matches: input.if_match,
        none_match: input.if_none_match,
        modified_since: input.if_modified_since,
        unmodified_since: input.if_unmodified_since,
    };
    let object = open(operations, (&input.bucket, &input.key, version), conditions, &errors).await?;
    // Range is not defined for HEAD (https://www.rfc-editor.org/rfc/rfc9110#section-14.2); a part number does.
    let range = requested_range(&object, None, input.part_number, &errors)?;
    let meta = object.meta();
    let wants_checksum = input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    let checksum = meta.checksum.as_ref().filter(|_| wants_checksum && range.is_none());
    let checksums = ChecksumFields::of_object(checksum);
    let headers = &meta.headers;
    Ok(HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(length(&range.clone().unwrap_or(0..meta.size))?),
        content_range: range.map(|range| content_range(&range, meta.size)),
        content_type: Some(headers.content_type.clone().unwrap_or_else(|| DEFAULT_TYPE.to_owned())),
        content_encoding: headers.content_encoding.clone(),
        content_language: headers.content_language.clone(),
        content_disposition: headers.content_disposition.clone(),
        cache_control: headers.cache_control.clone(),
        expires: expires(meta),
        version_id: meta.version_id.clone(),
        e_tag: Some(ETag::Strong(meta.etag.clone())),
        last_modified: Some(meta.last_modified.into()),
        metadata: metadata(meta),
        parts_count: parts_count(meta, input.part_number),
        checksum_type: checksum.map(|checksum| ChecksumType::from_static(checksum.kind.name())),
        checksum_crc32: checksums.crc32,
        checksum_crc32c: checksums.crc32c,
        checksum_crc64nvme: checksums.crc64nvme,
        checksum_sha1: checksums.sha1,
        checksum_sha256: checksums.sha256,
        ..Default::default()
    })
}

/// Opens the object if the conditions hold.
async fn open(
    operations: &Operations,
    (bucket, key, version_id): (&str, &str, Option<&str>),
    conditions: ReadConditions,
    errors: &ErrorMapper,
) -> S3Result<Object> {
    let found = operations.store.open_version(bucket, key, version_id).await;
    let object = found.map_err(|error| errors.to_s3(error))?;
    match conditions.evaluate(object.meta()) {
        ConditionResult::Met => Ok(object),
        ConditionResult::Failed => Err(precondition_failed()),
        ConditionResult::NotModified => Err(not_modified(object.meta())),
    }
}

/// The requested byte range; `None` for the whole object.
fn requested_range(
    object: &Object,
    range: Option<Range>,
    part: Option<i32>,
    errors: &ErrorMapper,
) -> S3Result<Option<Bytes<u64>>> {
    let size = object.meta().size;
    let unsatisfiable =
        || errors.with_details(unsatisfiable(size), vec![("ActualObjectSize", size.to_string())]);
    match (range, part) {
        (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "send Range or partNumber, not both")),
        (Some(range), None) => {
            let bytes = range.check(size).ok().filter(|bytes| !bytes.is_empty());
            bytes.map(Some).ok_or_else(unsatisfiable)
        }
        (None, Some(number)) => {
            let number = check_part_number(i64::from(number)).map_err(|error| errors.to_s3(error))?;
            // The only part of an empty object has no bytes, so it has no Content-Range.
            let bytes = object.part(number).ok_or_else(unsatisfiable)?;
            Ok((!bytes.is_empty()).then_some(bytes))
        }
        (None, None) => Ok(None),
    }
}

fn unsatisfiable(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "the object has {size} bytes; the range selects none of them");
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        error.set_headers(HeaderMap::from_iter([(http::header::CONTENT_RANGE, value)]));
    }
    error
}

fn content_range(range: &Bytes<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

fn length(bytes: &Bytes<u64>) -> S3Result<i64> {
    i64::try_from(bytes.end - bytes.start).map_err(S3Error::internal_error)
}

fn expires(meta: &ObjectMeta) -> Option<Timestamp> {
    let time = OffsetDateTime::from_unix_timestamp(meta.headers.expires?).ok()?;
    Some(time.into())
}

fn metadata(meta: &ObjectMeta) -> Option<std::collections::HashMap<String, String>> {
    let metadata = &meta.headers.metadata;
    (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect())
}

fn parts_count(meta: &ObjectMeta, part_number: Option<i32>) -> Option<i32> {
    part_number.and(meta.parts).and_then(|parts| i32::try_from(parts).ok())
}
