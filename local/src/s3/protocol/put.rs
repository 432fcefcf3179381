//! `PutObject` and `UploadPart`.

use std::collections::BTreeMap;

use s3s::dto::{
    ChecksumType, ETag, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Request, S3Result, TrailingHeaders, s3_error};
use time::OffsetDateTime;

use super::checksum_fields::ChecksumFields;
use super::condition::precondition;
use super::declared_digests::DeclaredDigests;
use super::error_mapper::ErrorMapper;
use super::operations::Operations;
use crate::s3::checksum::ChecksumAlgorithm;
use crate::s3::error::StoreError;
use crate::s3::limits::MAX_PUT_BYTES;
use crate::s3::object::ObjectHeaders;
use crate::s3::store::{Staged, check_part_number};

/// The largest user metadata of an object, names and values together, in bytes:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>.
const MAX_METADATA_BYTES: usize = 2048;

pub(super) async fn object(
    operations: &Operations,
    request: S3Request<PutObjectInput>,
    errors: ErrorMapper,
) -> S3Result<PutObjectOutput> {
    let input = request.input;
    let declared = DeclaredDigests::read(&request.headers, input.content_length)?;
    let headers = object_headers(HeaderFields {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_language: input.content_language,
        content_disposition: input.content_disposition,
        cache_control: input.cache_control,
        expires: input.expires,
        metadata: input.metadata,
    })?;
    let precondition = precondition(input.if_match, input.if_none_match)?;
    let store = &operations.store;
    store.check_put(&input.bucket, &input.key, &precondition).await.map_err(|error| errors.to_s3(error))?;
    let staged = receive(
        operations,
        input.body,
        declared.algorithm(),
        declared,
        request.trailing_headers.as_ref(),
        &errors,
    )
    .await?;
    let meta = store
        .put(&input.bucket, &input.key, headers, precondition, staged)
        .await
        .map_err(|error| errors.to_s3(error))?;
    let checksums = ChecksumFields::of_object(meta.checksum.as_ref());
    Ok(PutObjectOutput {
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

pub(super) async fn part(
    operations: &Operations,
    request: S3Request<UploadPartInput>,
    errors: ErrorMapper,
) -> S3Result<UploadPartOutput> {
    let input = request.input;
    let to_s3 = |error: StoreError| errors.to_s3(error);
    let declared = DeclaredDigests::read(&request.headers, input.content_length)?;
    let number = check_part_number(i64::from(input.part_number)).map_err(to_s3)?;
    let store = &operations.store;
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id).await.map_err(to_s3)?;
    let algorithm = match (declared.algorithm(), upload.checksum) {
        (Some(sent), Some((required, _))) if sent != required => {
            return Err(s3_error!(
                InvalidRequest,
                "the upload was created with {}; its parts cannot have {}",
                required.name(),
                sent.name()
            ));
        }
        (sent, required) => sent.or(required.map(|(algorithm, _)| algorithm)),
    };
    let trailers = request.trailing_headers.as_ref();
    let staged = receive(operations, input.body, algorithm, declared, trailers, &errors).await?;
    let part =
        store.put_part(&input.bucket, &input.key, &input.upload_id, number, staged).await.map_err(to_s3)?;
    let checksums = ChecksumFields::of(part.checksum);
    Ok(UploadPartOutput {
        e_tag: Some(ETag::Strong(part.etag)),
        checksum_crc32: checksums.crc32,
        checksum_crc32c: checksums.crc32c,
        checksum_crc64nvme: checksums.crc64nvme,
        checksum_sha1: checksums.sha1,
        checksum_sha256: checksums.sha256,
        ..Default::default()
    })
}

/// Receives a body and verifies the declared size and digests. A refused body is removed.
async fn receive(
    operations: &Operations,
    body: Option<StreamingBlob>,
    algorithm: Option<ChecksumAlgorithm>,
    declared: DeclaredDigests,
    trailers: Option<&TrailingHeaders>,
    errors: &ErrorMapper,
) -> S3Result<Staged> {
    if declared.length() > MAX_PUT_BYTES {
        return Err(errors.to_s3(StoreError::TooLarge { size: declared.length() }));
    }
    let body = body.ok_or_else(|| s3_error!(IncompleteBody, "the request has no body"))?;
    let staged = operations.store.stage(body, algorithm).await.map_err(|error| errors.to_s3(error))?;
    declared.verify(&staged, trailers, errors)?;
    Ok(staged)
}

/// The headers of a request that are stored with the object.
pub(super) struct HeaderFields {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) metadata: Option<std::collections::HashMap<String, String>>,
}

/// Checks and converts the headers that are stored with the object.
///
/// # Errors
/// `MetadataTooLarge`.
pub(super) fn object_headers(fields: HeaderFields) -> S3Result<ObjectHeaders> {
    let metadata: BTreeMap<String, String> = fields.metadata.unwrap_or_default().into_iter().collect();
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_METADATA_BYTES {
        return Err(s3_error!(
            MetadataTooLarge,
            "the user metadata has {bytes} bytes; at most {MAX_METADATA_BYTES} are allowed"
        ));
    }
    Ok(ObjectHeaders {
        content_type: fields.content_type,
        content_encoding: fields.content_encoding.and_then(|encoding| without_transfer_encoding(&encoding)),
        content_language: fields.content_language,
        content_disposition: fields.content_disposition,
        cache_control: fields.cache_control,
        expires: fields.expires.map(|expires| OffsetDateTime::from(expires).unix_timestamp()),
        metadata,
    })
}

/// Removes `aws-chunked`, which describes the upload, not the object.
fn without_transfer_encoding(encoding: &str) -> Option<String> {
    let kept: Vec<&str> =
        encoding.split(',').map(str::trim).filter(|one| !one.is_empty() && *one != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_the_upload_is_not_stored() {
        assert_eq!(without_transfer_encoding("aws-chunked"), None);
        assert_eq!(without_transfer_encoding("aws-chunked,gzip").as_deref(), Some("gzip"));
        assert_eq!(without_transfer_encoding("gzip, br").as_deref(), Some("gzip, br"));
        assert_eq!(without_transfer_encoding(""), None);
    }
}
