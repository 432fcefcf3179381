//! The operations on multipart uploads, except `UploadPart` and `UploadPartCopy`.

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm as AlgorithmName, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart as ListedPart,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part as PartEntry,
    StorageClass,
};
use s3s::{S3Request, S3Result, s3_error};

use super::checksum_fields::ChecksumFields;
use super::condition::precondition;
use super::error_mapper::ErrorMapper;
use super::list::{Encoding, page_size};
use super::operations::Operations;
use super::put::{HeaderFields, object_headers};
use crate::s3::checksum::{ChecksumAlgorithm, ChecksumKind};
use crate::s3::error::StoreError;
use crate::s3::store::{CompletedPart, NewUpload, check_part_number};

pub(super) async fn create(
    operations: &Operations,
    request: S3Request<CreateMultipartUploadInput>,
    errors: ErrorMapper,
) -> S3Result<CreateMultipartUploadOutput> {
    let input = request.input;
    let checksum = upload_checksum(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
    let headers = object_headers(HeaderFields {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_language: input.content_language,
        content_disposition: input.content_disposition,
        cache_control: input.cache_control,
        expires: input.expires,
        metadata: input.metadata,
    })?;
    let upload = operations
        .store
        .create_upload(&input.bucket, &input.key, NewUpload { headers, checksum })
        .await
        .map_err(|error| errors.to_s3(error))?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(upload.bucket),
        key: Some(upload.key),
        upload_id: Some(upload.id),
        checksum_algorithm: checksum.map(|(algorithm, _)| AlgorithmName::from_static(algorithm.name())),
        checksum_type: checksum.map(|(_, kind)| ChecksumType::from_static(kind.name())),
        ..Default::default()
    })
}

/// The checksum of a new upload.
fn upload_checksum(
    algorithm: Option<&AlgorithmName>,
    kind: Option<&ChecksumType>,
) -> S3Result<Option<(ChecksumAlgorithm, ChecksumKind)>> {
    let Some(name) = algorithm.map(AlgorithmName::as_str) else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(s3_error!(InvalidRequest, "x-amz-checksum-type needs x-amz-checksum-algorithm")),
        };
    };
    let algorithm = ChecksumAlgorithm::from_name(name).ok_or_else(|| {
        let known = ChecksumAlgorithm::ALL.map(ChecksumAlgorithm::name).join(", ");
        s3_error!(InvalidRequest, "the checksum algorithm must be one of {known}")
    })?;
    let kind = match kind.map(ChecksumType::as_str) {
        None => algorithm.default_kind(),
        Some(name) => ChecksumKind::from_name(name)
            .filter(|kind| algorithm.allows(*kind))
            .ok_or_else(|| s3_error!(InvalidRequest, "{} has no checksum type {name:?}", algorithm.name()))?,
    };
    Ok(Some((algorithm, kind)))
}

pub(super) async fn complete(
    operations: &Operations,
    request: S3Request<CompleteMultipartUploadInput>,
    errors: ErrorMapper,
) -> S3Result<CompleteMultipartUploadOutput> {
    let input = request.input;
    let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let listed =
        listed.into_iter().map(|part| completed_part(part, &errors)).collect::<S3Result<Vec<_>>>()?;
    let size = input
        .mpu_object_size
        .map(|size| {
            u64::try_from(size).map_err(|_| s3_error!(InvalidArgument, "the size must not be negative"))
        })
        .transpose()?;
    let declared = ChecksumFields {
        crc32: input.checksum_crc32,
        crc32c: input.checksum_crc32c,
        crc64nvme: input.checksum_crc64nvme,
        sha1: input.checksum_sha1,
        sha256: input.checksum_sha256,
    };
    let precondition = precondition(input.if_match, input.if_none_match)?;
    let meta = operations
        .store
        .complete_upload(
            &input.bucket,
            &input.key,
            &input.upload_id,
            listed,
            size,
            declared.into_list().pop(),
            precondition,
        )
        .await
        .map_err(|error| errors.to_s3(error))?;
    let checksums = ChecksumFields::of_object(meta.checksum.as_ref());
    Ok(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", meta.bucket, meta.key)),
        bucket: Some(meta.bucket),
        key: Some(meta.key),
        version_id: meta.version_id,
        e_tag: Some(ETag::Strong(meta.etag)),
        checksum_type: meta.checksum.map(|checksum| ChecksumType::from_static(checksum.kind.name())),
        checksum_crc32: checksums.crc32,
        checksum_crc32c: checksums.crc32c,
        checksum_crc64nvme: checksums.crc64nvme,
        checksum_sha1: checksums.sha1,
        checksum_sha256: checksums.sha256,
        ..Default::default()
    })
}

fn completed_part(part: ListedPart, errors: &ErrorMapper) -> S3Result<CompletedPart> {
    let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else {
        return Err(s3_error!(MalformedXML, "each part needs its PartNumber and its ETag"));
    };
    let number = check_part_number(i64::from(number)).map_err(|error| errors.to_s3(error))?;
    let checksums = ChecksumFields {
        crc32: part.checksum_crc32,
        crc32c: part.checksum_crc32c,
        crc64nvme: part.checksum_crc64nvme,
        sha1: part.checksum_sha1,
        sha256: part.checksum_sha256,
    };
    Ok(CompletedPart { number, etag: etag.into_value(), checksums: checksums.into_list() })
}

pub(super) async fn abort(
    operations: &Operations,
    request: S3Request<AbortMultipartUploadInput>,
    errors: ErrorMapper,
) -> S3Result<AbortMultipartUploadOutput> {
    let input = request.input;
    let aborted = operations.store.abort_upload(&input.bucket, &input.key, &input.upload_id).await;
    aborted.map(|()| AbortMultipartUploadOutput::default()).map_err(|error| errors.to_s3(error))
}

pub(super) async fn parts(
    operations: &Operations,
    request: S3Request<ListPartsInput>,
    errors: ErrorMapper,
) -> S3Result<ListPartsOutput> {
    let input = request.input;
    let to_s3 = |error: StoreError| errors.to_s3(error);
    let limit = page_size(input.max_parts)?;
    let after = u32::try_from(input.part_number_marker.unwrap_or(0))
        .map_err(|_| s3_error!(InvalidArgument, "part-number-marker must not be negative"))?;
    let store = &operations.store;
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id).await.map_err(to_s3)?;
    let page_limit = u32::try_from(limit).unwrap_or_default();
    let mut parts = store
        .parts(&input.bucket, &input.key, &input.upload_id, after, page_limit + 1)
        .await
        .map_err(to_s3)?;
    let truncated = limit > 0 && parts.len() > page_limit as usize;
    parts.truncate(page_limit as usize);
    let next = parts.last().filter(|_| truncated).and_then(|part| i32::try_from(part.number).ok());
    let entries = parts.into_iter().map(|part| {
        let checksums = ChecksumFields::of(part.checksum);
        PartEntry {
            part_number: i32::try_from(part.number).ok(),
            e_tag: Some(ETag::Strong(part.etag)),
            size: i64::try_from(part.size).ok(),
            last_modified: Some(part.last_modified.into()),
            checksum_crc32: checksums.crc32,
            checksum_crc32c: checksums.crc32c,
            checksum_crc64nvme: checksums.crc64nvme,
            checksum_sha1: checksums.sha1,
            checksum_sha256: checksums.sha256,
        }
    });
    Ok(ListPartsOutput {
        parts: Some(entries.collect()),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(limit),
        part_number_marker: input.part_number_marker,
        next_part_number_marker: next,
        is_truncated: Some(truncated),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        checksum_algorithm: upload
            .checksum
            .map(|(algorithm, _)| AlgorithmName::from_static(algorithm.name())),
        checksum_type: upload.checksum.map(|(_, kind)| ChecksumType::from_static(kind.name())),
        ..Default::default()
    })
}

pub(super) async fn uploads(
    operations: &Operations,
    request: S3Request<ListMultipartUploadsInput>,
    errors: ErrorMapper,
) -> S3Result<ListMultipartUploadsOutput> {
    let input = request.input;
    if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(s3_error!(NotImplemented, "a delimiter is not supported when listing uploads; omit it"));
    }
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let limit = page_size(input.max_uploads)?;
    let page_limit = u32::try_from(limit).unwrap_or_default();
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.key_marker.as_deref().map(|key| (key, input.upload_id_marker.as_deref()));
    let mut uploads = operations
        .store
        .uploads(&input.bucket, &prefix, after, page_limit + 1)
        .await
        .map_err(|error| errors.to_s3(error))?;
    let truncated = limit > 0 && uploads.len() > page_limit as usize;
    uploads.truncate(page_limit as usize);
    let last = uploads.last().filter(|_| truncated);
    let (next_key, next_id) =
        (last.map(|upload| encoding.apply(&upload.key)), last.map(|upload| upload.id.clone()));
    let entries = uploads.into_iter().map(|upload| MultipartUpload {
        key: Some(encoding.apply(&upload.key)),
        upload_id: Some(upload.id),
        initiated: Some(upload.initiated_at.into()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        checksum_algorithm: upload
            .checksum
            .map(|(algorithm, _)| AlgorithmName::from_static(algorithm.name())),
        checksum_type: upload.checksum.map(|(_, kind)| ChecksumType::from_static(kind.name())),
        ..Default::default()
    });
    Ok(ListMultipartUploadsOutput {
        uploads: Some(entries.collect()),
        bucket: Some(input.bucket),
        prefix: Some(encoding.apply(&prefix)),
        key_marker: input.key_marker.map(|marker| encoding.apply(&marker)),
        upload_id_marker: input.upload_id_marker,
        max_uploads: Some(limit),
        next_key_marker: next_key,
        next_upload_id_marker: next_id,
        is_truncated: Some(truncated),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}
