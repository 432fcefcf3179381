//! `GetBucketVersioning`, `PutBucketVersioning` and `ListObjectVersions`.

use s3s::dto::{
    BucketVersioningStatus, ChecksumAlgorithm, ChecksumType, CommonPrefix, DeleteMarkerEntry, ETag,
    GetBucketVersioningInput, GetBucketVersioningOutput, ListObjectVersionsInput, ListObjectVersionsOutput,
    MFADelete, ObjectVersion as VersionEntry, ObjectVersionStorageClass, PutBucketVersioningInput,
    PutBucketVersioningOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::error_mapper::ErrorMapper;
use super::list::{Encoding, page_size};
use super::operations::Operations;
use crate::s3::error::StoreError;
use crate::s3::object::ObjectMeta;
use crate::s3::store::{VersionListRequest, VersionMarker};
use crate::s3::version::{ObjectVersion, Versioning};

/// The `versionId` of a request.
///
/// # Errors
/// `InvalidArgument` if it is empty.
pub(super) fn requested_version(version_id: Option<&str>) -> S3Result<Option<&str>> {
    match version_id {
        Some("") => {
            Err(s3_error!(InvalidArgument, "versionId must not be empty; omit it for the current version"))
        }
        version_id => Ok(version_id),
    }
}

pub(super) async fn get(
    operations: &Operations,
    request: S3Request<GetBucketVersioningInput>,
    errors: ErrorMapper,
) -> S3Result<GetBucketVersioningOutput> {
    let bucket = request.input.bucket;
    let found = operations.store.bucket(&bucket).await.map_err(|error| errors.to_s3(error))?;
    let found = found.ok_or_else(|| errors.to_s3(StoreError::NoSuchBucket { bucket }))?;
    let status = match found.versioning {
        // As S3: a bucket that was never versioned has no status.
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    Ok(GetBucketVersioningOutput {
        status: status.map(BucketVersioningStatus::from_static),
        ..Default::default()
    })
}

pub(super) async fn put(
    operations: &Operations,
    request: S3Request<PutBucketVersioningInput>,
    errors: ErrorMapper,
) -> S3Result<PutBucketVersioningOutput> {
    let input = request.input;
    let configuration = input.versioning_configuration;
    if configuration.mfa_delete.is_some_and(|mfa| mfa.as_str() == MFADelete::ENABLED) {
        return Err(s3_error!(NotImplemented, "this server does not support MfaDelete; leave it out"));
    }
    let versioning = match configuration.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => {
            return Err(s3_error!(
                IllegalVersioningConfigurationException,
                "the Status of the VersioningConfiguration must be Enabled or Suspended"
            ));
        }
    };
    let changed = operations.store.set_versioning(&input.bucket, versioning).await;
    changed.map(|()| PutBucketVersioningOutput::default()).map_err(|error| errors.to_s3(error))
}

pub(super) async fn list(
    operations: &Operations,
    request: S3Request<ListObjectVersionsInput>,
    errors: ErrorMapper,
) -> S3Result<ListObjectVersionsOutput> {
    let input = request.input;
    let limit = page_size(input.max_keys)?;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let after = marker(input.key_marker.clone(), input.version_id_marker.clone())?;
    let list = VersionListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
        after,
        limit: usize::try_from(limit).unwrap_or_default(),
    };
    let listing = operations.store.list_versions(&input.bucket, list).await;
    let listing = listing.map_err(|error| errors.to_s3(error))?;
    let truncated = listing.next.is_some();
    let (next_key, next_version) =
        listing.next.map_or((None, None), |next| (Some(next.key), next.version_id));
    let (mut versions, mut delete_markers) = (Vec::new(), Vec::new());
    for version in listing.versions {
        let ObjectVersion { key, version_id, is_latest, last_modified, object, .. } = version;
        let (key, version_id) = (Some(encoding.apply(&key)), Some(version_id));
        let (is_latest, last_modified) = (Some(is_latest), Some(last_modified.into()));
        if let Some(meta) = object {
            versions.push(VersionEntry { key, version_id, is_latest, last_modified, ..entry(meta) });
        } else {
            let owner = None;
            delete_markers.push(DeleteMarkerEntry { key, version_id, is_latest, last_modified, owner });
        }
    }
    let common_prefixes = listing.common_prefixes.iter();
    let common_prefixes =
        common_prefixes.map(|prefix| CommonPrefix { prefix: Some(encoding.apply(prefix)) }).collect();
    Ok(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.apply(&input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| encoding.apply(&delimiter)),
        key_marker: Some(encoding.apply(&input.key_marker.unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        max_keys: Some(limit),
        is_truncated: Some(truncated),
        next_key_marker: next_key.map(|key| encoding.apply(&key)),
        next_version_id_marker: next_version,
        versions: Some(versions),
        delete_markers: Some(delete_markers),
        common_prefixes: Some(common_prefixes),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

/// The fields of a version's entry that come from its metadata.
fn entry(meta: ObjectMeta) -> VersionEntry {
    let checksum = meta.checksum;
    VersionEntry {
        e_tag: Some(ETag::Strong(meta.etag)),
        size: i64::try_from(meta.size).ok(),
        storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
        checksum_algorithm: checksum
            .as_ref()
            .map(|checksum| vec![ChecksumAlgorithm::from_static(checksum.algorithm.name())]),
        checksum_type: checksum.map(|checksum| ChecksumType::from_static(checksum.kind.name())),
        ..Default::default()
    }
}

/// The place after which a page begins. Empty markers count as absent, as the SDKs send them.
fn marker(key: Option<String>, version_id: Option<String>) -> S3Result<Option<VersionMarker>> {
    let version_id = version_id.filter(|id| !id.is_empty());
    match key.filter(|key| !key.is_empty()) {
        Some(key) => Ok(Some(VersionMarker { key, version_id })),
        None if version_id.is_some() => Err(s3_error!(InvalidArgument, "version-id-marker needs key-marker")),
        None => Ok(None),
    }
}
