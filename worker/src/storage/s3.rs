//! The S3 adapter, built on the AWS SDK. The SDK retries; errors returned from here are final.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use streamio_events::s3::{self, DeleteError};

use super::{
    Condition, Content, Location, Multipart, MultipartStore, ObjectHeaders, ObjectInfo, Part, StorageError,
    WholeObjectStore,
};
use crate::settings::S3Settings;

/// Object storage with the S3 API.
#[derive(Debug, Clone)]
pub struct S3Storage {
    client: Client,
}

/// Longer timeout for server-side copies and completions: S3 may take minutes without sending a byte.
fn with_long_timeout() -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_mins(10)).build();
    aws_sdk_s3::Config::builder().timeout_config(timeouts)
}

impl S3Storage {
    /// Creates a client for the endpoint of `settings`. Without credentials in `settings`, the SDK's default chain is used.
    pub async fn connect(settings: &S3Settings) -> Self {
        let credentials = if let Some(key) = &settings.credentials {
            let token = key.session_token.as_ref().map(|token| token.reveal().to_owned());
            let secret = key.secret_access_key.reveal();
            let key = Credentials::new(&key.access_key_id, secret, token, None, "environment");
            SharedCredentialsProvider::new(key)
        } else {
            let region = Region::new(settings.region.clone());
            let chain = DefaultCredentialsChain::builder().region(region);
            // Boxed because the SDK's futures are large.
            SharedCredentialsProvider::new(Box::pin(chain.build()).await)
        };
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(credentials)
            .force_path_style(settings.path_style)
            .retry_config(RetryConfig::standard().with_max_attempts(6))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    // Enough for a part of 16 MiB at 2 Mbit/s.
                    .operation_attempt_timeout(Duration::from_secs(64))
                    .build(),
            );
        if let Some(endpoint) = &settings.endpoint {
            config = config.endpoint_url(endpoint.as_str().trim_end_matches('/'));
        }
        Self { client: Client::from_conf(config.build()) }
    }
}

impl S3Storage {
    async fn head_object(
        &self,
        location: &Location,
        version_id: Option<&str>,
    ) -> Result<Option<ObjectInfo>, StorageError> {
        let request = self.client.head_object().bucket(&location.bucket).key(&location.key);
        let response = request.set_version_id(version_id.map(str::to_owned)).send().await;
        match response.map_err(storage_error("HeadObject")) {
            Ok(head) => Ok(Some(ObjectInfo {
                bytes: head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or(0),
                etag: head.e_tag().unwrap_or_default().to_owned(),
            })),
            Err(StorageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get_range(
        &self,
        request: GetObjectFluentBuilder,
        location: &Location,
        range: Range<u64>,
    ) -> Result<Bytes, StorageError> {
        let response = request
            .bucket(&location.bucket)
            .key(&location.key)
            .range(format!("bytes={}-{}", range.start, range.end - 1))
            .send()
            .await
            .map_err(storage_error("GetObject"))?;
        let body = response.body.collect().await;
        let unavailable = |source| StorageError::Unavailable { operation: "GetObject", source };
        Ok(body.map_err(|error| unavailable(Box::new(error)))?.into_bytes())
    }
}

fn storage_error<E>(operation: &'static str) -> impl FnOnce(SdkError<E>) -> StorageError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    move |error| {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        match (status, code.as_str()) {
            (_, "NoSuchKey" | "NoSuchBucket" | "NoSuchUpload" | "NotFound") | (Some(404), _) => {
                StorageError::NotFound { operation }
            }
            // S3 responds 409 if another conditional write of the key is in progress.
            (Some(412), _) | (_, "PreconditionFailed" | "ConditionalRequestConflict") => {
                StorageError::PreconditionFailed { operation }
            }
            (Some(status @ 400..=499), _) if status != 408 && status != 429 => {
                StorageError::Refused { operation, status, source: Box::new(error) }
            }
            _ => StorageError::Unavailable { operation, source: Box::new(error) },
        }
    }
}

impl Condition {
    /// The values of `If-Match` and `If-None-Match`.
    fn headers(self) -> (Option<String>, Option<String>) {
        match self {
            Self::None => (None, None),
            Self::Absent => (None, Some("*".to_owned())),
            Self::Matches(etag) => (Some(etag), None),
        }
    }
}

#[async_trait]
impl WholeObjectStore for S3Storage {
    async fn head(&self, location: &Location) -> Result<Option<ObjectInfo>, StorageError> {
        self.head_object(location, None).await
    }

    async fn head_version(
        &self,
        location: &Location,
        version_id: &str,
    ) -> Result<Option<ObjectInfo>, StorageError> {
        self.head_object(location, Some(version_id)).await
    }

    async fn read_version(
        &self,
        location: &Location,
        version_id: &str,
        range: Range<u64>,
    ) -> Result<Bytes, StorageError> {
        let request = self.client.get_object().version_id(version_id);
        self.get_range(request, location, range).await
    }

    async fn read(&self, location: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let request = self.client.get_object().if_match(etag);
        self.get_range(request, location, range).await
    }

    async fn put(
        &self,
        location: &Location,
        content: Content,
        headers: ObjectHeaders,
        condition: Condition,
    ) -> Result<(), StorageError> {
        let body = match content {
            Content::Bytes(bytes) => ByteStream::from(bytes),
            Content::File(path) => ByteStream::from_path(path).await.map_err(|error| {
                StorageError::Unavailable { operation: "PutObject", source: Box::new(error) }
            })?,
        };
        let (if_match, if_none_match) = condition.headers();
        self.client
            .put_object()
            .bucket(&location.bucket)
            .key(&location.key)
            .content_type(headers.content_type)
            .cache_control(headers.cache_control)
            .set_if_match(if_match)
            .set_if_none_match(if_none_match)
            .body(body)
            .send()
            .await
            .map_err(storage_error("PutObject"))?;
        Ok(())
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StorageError> {
        let mut pages = self.client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(storage_error("ListObjectsV2"))?;
            keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        }
        Ok(keys)
    }

    async fn delete(&self, bucket: &str, keys: &[String]) -> Result<(), StorageError> {
        s3::delete_objects(&self.client, bucket, keys).await.map_err(|error| match error {
            DeleteError::Request(error) => storage_error("DeleteObjects")(*error),
            error @ DeleteError::Keys { .. } => {
                StorageError::Unavailable { operation: "DeleteObjects", source: error.into() }
            }
        })
    }

    async fn delete_if(&self, location: &Location, etag: &str) -> Result<(), StorageError> {
        let Location { bucket, key } = location;
        let response = self.client.delete_object().bucket(bucket).key(key).if_match(etag).send().await;
        match response.map_err(storage_error("DeleteObject")) {
            Ok(_) | Err(StorageError::NotFound { .. } | StorageError::PreconditionFailed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl MultipartStore for S3Storage {
    async fn begin(&self, location: &Location, headers: ObjectHeaders) -> Result<Multipart, StorageError> {
        let response = self
            .client
            .create_multipart_upload()
            .bucket(&location.bucket)
            .key(&location.key)
            .content_type(headers.content_type)
            .cache_control(headers.cache_control)
            .send()
            .await
            .map_err(storage_error("CreateMultipartUpload"))?;
        let upload_id = response
            .upload_id()
            .ok_or_else(|| missing_field("CreateMultipartUpload", "the response has no UploadId"))?;
        Ok(Multipart { location: location.clone(), upload_id: upload_id.to_owned() })
    }

    async fn upload_part(&self, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part, StorageError> {
        let response = self
            .client
            .upload_part()
            .bucket(&upload.location.bucket)
            .key(&upload.location.key)
            .upload_id(&upload.upload_id)
            .part_number(number.into())
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(storage_error("UploadPart"))?;
        let etag = response.e_tag().ok_or_else(|| missing_field("UploadPart", "the response has no ETag"))?;
        Ok(Part { number, etag: etag.to_owned() })
    }

    async fn copy_part(
        &self,
        upload: &Multipart,
        number: u16,
        source: &Location,
        range: Range<u64>,
    ) -> Result<Part, StorageError> {
        let response = self
            .client
            .upload_part_copy()
            .bucket(&upload.location.bucket)
            .key(&upload.location.key)
            .upload_id(&upload.upload_id)
            .part_number(number.into())
            .copy_source(copy_source(source))
            .copy_source_range(format!("bytes={}-{}", range.start, range.end - 1))
            .customize()
            .config_override(with_long_timeout())
            .send()
            .await
            .map_err(storage_error("UploadPartCopy"))?;
        let etag = response.copy_part_result().and_then(|result| result.e_tag());
        let etag = etag.ok_or_else(|| missing_field("UploadPartCopy", "the response has no ETag"))?;
        Ok(Part { number, etag: etag.to_owned() })
    }

    async fn complete(
        &self,
        upload: &Multipart,
        parts: &[Part],
        condition: Condition,
    ) -> Result<(), StorageError> {
        let parts = parts
            .iter()
            .map(|part| CompletedPart::builder().part_number(part.number.into()).e_tag(&part.etag).build())
            .collect();
        let (if_match, if_none_match) = condition.headers();
        self.client
            .complete_multipart_upload()
            .bucket(&upload.location.bucket)
            .key(&upload.location.key)
            .upload_id(&upload.upload_id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .set_if_match(if_match)
            .set_if_none_match(if_none_match)
            .customize()
            .config_override(with_long_timeout())
            .send()
            .await
            .map_err(storage_error("CompleteMultipartUpload"))?;
        Ok(())
    }

    async fn abort(&self, upload: &Multipart) -> Result<(), StorageError> {
        self.client
            .abort_multipart_upload()
            .bucket(&upload.location.bucket)
            .key(&upload.location.key)
            .upload_id(&upload.upload_id)
            .send()
            .await
            .map_err(storage_error("AbortMultipartUpload"))?;
        Ok(())
    }
}

fn missing_field(operation: &'static str, what: &'static str) -> StorageError {
    StorageError::Unavailable { operation, source: what.into() }
}

/// `bucket/key`, percent-encoded. The SDK does not encode this parameter itself.
fn copy_source(source: &Location) -> String {
    let mut url = url::Url::parse("s3://x/").expect("the URL is valid");
    url.path_segments_mut()
        .expect("the URL has a path")
        .clear()
        .push(&source.bucket)
        .extend(source.key.split('/'));
    url.path().trim_start_matches('/').replace('+', "%2B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_copy_is_percent_encoded() {
        let source = Location { bucket: "processed".into(), key: "processed/acme/a b+c%/\"é?#.mp4".into() };
        assert_eq!(copy_source(&source), "processed/processed/acme/a%20b%2Bc%25/%22%C3%A9%3F%23.mp4");
    }
}
