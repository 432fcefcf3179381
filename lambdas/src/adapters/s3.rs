//! The object store on S3.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::ChecksumMode;
use streamio_core::ports::AdapterError;
use streamio_core::ports::object_store::{ObjectInfo, ObjectStore, ObjectVersion};
use streamio_events::s3::{DeleteError, delete_objects};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{GRANT_METADATA, NULL_VERSION};

use crate::settings;

/// Heads, lists and deletes objects in S3.
#[derive(Debug, Clone)]
pub struct S3Objects {
    client: Client,
}

impl S3Objects {
    /// A client of S3, or of a server with its protocol.
    pub fn new(sdk: &SdkConfig, settings: settings::S3) -> Self {
        let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(settings.path_style).build();
        Self { client: Client::from_conf(config) }
    }

    /// Deletes the object without a version that has the entity tag `quoted`. S3 compares it, but only with the current version: nothing
    /// replaces the version [`NULL_VERSION`] in a bucket whose versions are not suspended.
    async fn delete_found(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        quoted: String,
    ) -> Result<(), AdapterError> {
        let request = self.client.delete_object().bucket(bucket).key(key);
        let request = match version_id {
            Some(version_id) => request.version_id(version_id),
            None => request.if_match(quoted),
        };
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) || is_changed(&error) => Ok(()),
            Err(error) => Err(failed("DeleteObject")(error)),
        }
    }
}

/// A call of S3 failed. Names the operation and S3's error code or status, never an object.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed: {reason}")]
pub struct S3Error {
    operation: &'static str,
    reason: String,
    #[source]
    source: Option<AdapterError>,
}

fn failed<E>(operation: &'static str) -> impl FnOnce(SdkError<E>) -> AdapterError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    move |error| {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let reason = match (error.code(), status) {
            (Some(code), _) => code.to_owned(),
            (None, Some(status)) => format!("status {status}"),
            (None, None) => "no response".to_owned(),
        };
        S3Error { operation, reason, source: Some(error.into()) }.into()
    }
}

/// Whether the object does not exist. The response to a `HEAD` has no body, and so no code.
fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(error.code(), Some("NoSuchKey" | "NoSuchVersion" | "NotFound"))
        || (error.code().is_none()
            && error.raw_response().is_some_and(|response| response.status().as_u16() == 404))
}

/// Whether the object has another entity tag than the request requires.
fn is_changed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("PreconditionFailed")
        || error.raw_response().is_some_and(|response| response.status().as_u16() == 412)
}

/// Whether the object was written while the bucket had no versions.
fn is_null_version(version_id: Option<&str>) -> bool {
    version_id.is_none_or(|id| id.is_empty() || id == NULL_VERSION)
}

/// The version, unless the object was written while the bucket had no versions.
fn named_version(version_id: Option<&str>) -> Option<String> {
    version_id.filter(|id| !is_null_version(Some(id))).map(str::to_owned)
}

fn version_of(version: &aws_sdk_s3::types::ObjectVersion) -> Option<ObjectVersion> {
    Some(ObjectVersion {
        version_id: named_version(version.version_id()),
        bytes: u64::try_from(version.size()?).ok()?,
        etag: version.e_tag()?.trim_matches('"').to_owned(),
        last_modified: Timestamp::from_unix_millis(version.last_modified()?.to_millis().ok()?),
    })
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<Option<ObjectInfo>, AdapterError> {
        let request = self.client.head_object().bucket(bucket).key(key);
        let request =
            request.set_version_id(version_id.map(str::to_owned)).checksum_mode(ChecksumMode::Enabled);
        match request.send().await {
            Ok(head) => {
                let bytes = head.content_length().and_then(|length| u64::try_from(length).ok());
                let etag = head.e_tag().map(|etag| etag.trim_matches('"').to_owned());
                let missing = |what: &str| S3Error {
                    operation: "HeadObject",
                    reason: format!("the response has no {what}"),
                    source: None,
                };
                let bytes = bytes.ok_or_else(|| missing("length"))?;
                let etag = etag.ok_or_else(|| missing("entity tag"))?;
                let last_modified = head.last_modified().and_then(|at| at.to_millis().ok());
                let last_modified = last_modified.ok_or_else(|| missing("time"))?;
                Ok(Some(ObjectInfo {
                    bytes,
                    etag,
                    last_modified: Timestamp::from_unix_millis(last_modified),
                    version_id: named_version(head.version_id()),
                    content_type: head.content_type().map(str::to_owned),
                    // The checksum of a multipart upload is that of its parts' checksums, and followed by their number.
                    sha256: head.checksum_sha256().filter(|sum| !sum.contains('-')).map(str::to_owned),
                    grant: head.metadata().and_then(|metadata| metadata.get(GRANT_METADATA)).cloned(),
                }))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed("HeadObject")(error)),
        }
    }

    /// S3 compares the entity tag when it deletes
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html>). Other servers with S3's protocol may
    /// ignore the condition, so the entity tag is also compared before.
    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError> {
        let quoted = format!("\"{etag}\"");
        // In a bucket with versions, the object without one may be behind others.
        for wanted in [None, Some(NULL_VERSION)] {
            let request = self.client.head_object().bucket(bucket).key(key);
            match request.set_version_id(wanted.map(str::to_owned)).send().await {
                Ok(head) if head.e_tag() == Some(quoted.as_str()) && is_null_version(head.version_id()) => {
                    return self.delete_found(bucket, key, head.version_id(), quoted).await;
                }
                Ok(_) => {}
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(failed("HeadObject")(error)),
            }
        }
        Ok(())
    }

    async fn versions(&self, bucket: &str, key: &str) -> Result<Vec<ObjectVersion>, AdapterError> {
        let mut versions = Vec::new();
        let (mut key_marker, mut version_id_marker) = (None, None);
        loop {
            let page = self
                .client
                .list_object_versions()
                .bucket(bucket)
                .prefix(key)
                .set_key_marker(key_marker)
                .set_version_id_marker(version_id_marker)
                .send()
                .await
                .map_err(failed("ListObjectVersions"))?;
            let of_key = page.versions().iter().filter(|version| version.key() == Some(key));
            versions.extend(of_key.filter_map(version_of));
            // Keys are in the order of their bytes, so that the first longer one is after all versions of this key.
            let is_past = page.versions().last().is_some_and(|version| version.key() != Some(key));
            if is_past || page.is_truncated() != Some(true) {
                break;
            }
            key_marker = page.next_key_marker().map(str::to_owned);
            version_id_marker = page.next_version_id_marker().map(str::to_owned);
        }
        // S3 returns the newest first.
        versions.reverse();
        Ok(versions)
    }

    async fn delete_version(&self, bucket: &str, key: &str, version_id: &str) -> Result<(), AdapterError> {
        match self.client.delete_object().bucket(bucket).key(key).version_id(version_id).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(failed("DeleteObject")(error)),
        }
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AdapterError> {
        let list = self.client.list_objects_v2().bucket(bucket).prefix(prefix).delimiter("/");
        let mut pages = list.into_paginator().send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("ListObjectsV2"))?;
            folders.extend(page.common_prefixes().iter().filter_map(|it| it.prefix().map(str::to_owned)));
        }
        Ok(folders)
    }

    /// Page by page: a page of `ListObjectsV2` has at most as many keys as one `DeleteObjects` takes.
    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError> {
        let mut pages = self.client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("ListObjectsV2"))?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            delete_objects(&self.client, bucket, keys).await.map_err(|error| match error {
                DeleteError::Request(error) => failed("DeleteObjects")(*error),
                error @ DeleteError::Keys { .. } => error.into(),
            })?;
        }
        Ok(())
    }
}
