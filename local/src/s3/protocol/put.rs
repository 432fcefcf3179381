//! `PutObject` and `UploadPart`.

use std::collections::BTreeMap;

use s3s::dto::{
    ChecksumType, ETag, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Request, S3Result, TrailingHeaders, s3_error};
use time::OffsetDateTime;

use super::Operations;
use super::condition::precondition;
use super::digest::Announced;
use super::refusal::Refusals;
use super::sums::Sums;
use crate::s3::checksum::ChecksumAlgorithm;
use crate::s3::error::StoreError;
use crate::s3::object::{MAX_PUT_BYTES, ObjectHeaders};
use crate::s3::store::{Staged, check_part_number};

/// The most user metadata that an object may have, names and values together, in bytes:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>.
const MAX_METADATA_BYTES: usize = 2048;

pub(super) async fn object(
    operations: &Operations,
    request: S3Request<PutObjectInput>,
    refusals: Refusals,
) -> S3Result<PutObjectOutput> {
    let input = request.input;
    let announced = Announced::read(&request.headers, input.content_length)?;
    let headers = headers(Given {
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
    store
        .check_put(&input.bucket, &input.key, &precondition)
        .await
        .map_err(|error| refusals.refuse(error))?;
    let staged = receive(
        operations,
        input.body,
        announced.algorithm(),
        announced,
        request.trailing_headers.as_ref(),
        &refusals,
    )
    .await?;
    let meta = store
        .put(&input.bucket, &input.key, headers, precondition, staged)
        .await
        .map_err(|error| refusals.refuse(error))?;
    let sums = Sums::of_object(meta.checksum.as_ref());
    Ok(PutObjectOutput {
        e_tag: Some(ETag::Strong(meta.etag)),
        checksum_type: meta.checksum.map(|checksum| ChecksumType::from_static(checksum.kind.name())),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        ..Default::default()
    })
}

pub(super) async fn part(
    operations: &Operations,
    request: S3Request<UploadPartInput>,
    refusals: Refusals,
) -> S3Result<UploadPartOutput> {
    let input = request.input;
    let refuse = |error: StoreError| refusals.refuse(error);
    let announced = Announced::read(&request.headers, input.content_length)?;
    let number = check_part_number(i64::from(input.part_number)).map_err(refuse)?;
    let store = &operations.store;
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id).await.map_err(refuse)?;
    let algorithm = match (announced.algorithm(), upload.checksum) {
        (Some(sent), Some((wanted, _))) if sent != wanted => {
            return Err(s3_error!(
                InvalidRequest,
                "the upload was begun with {}; its parts cannot have {}",
                wanted.name(),
                sent.name()
            ));
        }
        (sent, wanted) => sent.or(wanted.map(|(algorithm, _)| algorithm)),
    };
    let trailers = request.trailing_headers.as_ref();
    let staged = receive(operations, input.body, algorithm, announced, trailers, &refusals).await?;
    let part =
        store.put_part(&input.bucket, &input.key, &input.upload_id, number, staged).await.map_err(refuse)?;
    let sums = Sums::of(part.checksum);
    Ok(UploadPartOutput {
        e_tag: Some(ETag::Strong(part.etag)),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        ..Default::default()
    })
}

/// Receives a body and holds it against what was announced. What is refused leaves nothing behind.
async fn receive(
    operations: &Operations,
    body: Option<StreamingBlob>,
    algorithm: Option<ChecksumAlgorithm>,
    announced: Announced,
    trailers: Option<&TrailingHeaders>,
    refusals: &Refusals,
) -> S3Result<Staged> {
    if announced.length() > MAX_PUT_BYTES {
        return Err(refusals.refuse(StoreError::TooLarge));
    }
    let body = body.ok_or_else(|| s3_error!(IncompleteBody, "the request has no body"))?;
    let staged = operations.store.stage(body, algorithm).await.map_err(|error| refusals.refuse(error))?;
    announced.verify(&staged, trailers)?;
    Ok(staged)
}

/// The headers of a request that become the object's.
pub(super) struct Given {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) metadata: Option<std::collections::HashMap<String, String>>,
}

/// Checks the headers that become the object's.
pub(super) fn headers(given: Given) -> S3Result<ObjectHeaders> {
    let metadata: BTreeMap<String, String> = given.metadata.unwrap_or_default().into_iter().collect();
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_METADATA_BYTES {
        return Err(s3_error!(
            MetadataTooLarge,
            "the user metadata has {bytes} bytes; at most {MAX_METADATA_BYTES} are allowed"
        ));
    }
    Ok(ObjectHeaders {
        content_type: given.content_type,
        content_encoding: given.content_encoding.and_then(|encoding| without_transfer_encoding(&encoding)),
        content_language: given.content_language,
        content_disposition: given.content_disposition,
        cache_control: given.cache_control,
        expires: given.expires.map(|expires| OffsetDateTime::from(expires).unix_timestamp()),
        metadata,
    })
}

/// `aws-chunked` describes the upload, not the object.
fn without_transfer_encoding(encoding: &str) -> Option<String> {
    let kept: Vec<&str> =
        encoding.split(',').map(str::trim).filter(|one| !one.is_empty() && *one != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_the_upload_is_not_the_encoding_of_the_object() {
        assert_eq!(without_transfer_encoding("aws-chunked"), None);
        assert_eq!(without_transfer_encoding("aws-chunked,gzip").as_deref(), Some("gzip"));
        assert_eq!(without_transfer_encoding("gzip, br").as_deref(), Some("gzip, br"));
        assert_eq!(without_transfer_encoding(""), None);
    }
}
