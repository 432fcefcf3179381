//! The objects in S3.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use streamio_events::timestamp::Timestamp;

use crate::settings;
use streamio_core::ports::AdapterError;
use streamio_core::ports::object_store::{ObjectInfo, ObjectStore};

/// Looks at objects in S3 and removes them.
#[derive(Debug, Clone)]
pub struct S3Objects {
    client: Client,
}

impl S3Objects {
    /// A client of S3, or of what speaks its protocol.
    pub fn new(sdk: &SdkConfig, settings: settings::S3) -> Self {
        let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(settings.path_style).build();
        Self { client: Client::from_conf(config) }
    }
}

/// S3 did not do it: which call, and what S3 says. Its text names no object.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed: {said}")]
pub struct S3Error {
    operation: &'static str,
    said: String,
    #[source]
    source: Option<AdapterError>,
}

fn failed<E>(operation: &'static str) -> impl FnOnce(SdkError<E>) -> AdapterError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    move |error| {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let said = match (error.code(), status) {
            (Some(code), _) => code.to_owned(),
            (None, Some(status)) => format!("status {status}"),
            (None, None) => "no answer".to_owned(),
        };
        S3Error { operation, said, source: Some(error.into()) }.into()
    }
}

/// Whether S3 says that there is no such object. A `HEAD` has no body, and so no code.
fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(error.code(), Some("NoSuchKey" | "NotFound"))
        || (error.code().is_none()
            && error.raw_response().is_some_and(|response| response.status().as_u16() == 404))
}

/// Whether S3 says that the object is another one than the one that is meant.
fn is_another<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("PreconditionFailed")
        || error.raw_response().is_some_and(|response| response.status().as_u16() == 412)
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectInfo>, AdapterError> {
        match self.client.head_object().bucket(bucket).key(key).send().await {
            Ok(head) => {
                let bytes = head.content_length().and_then(|length| u64::try_from(length).ok());
                let etag = head.e_tag().map(|etag| etag.trim_matches('"').to_owned());
                let lacking = |what: &str| S3Error {
                    operation: "HeadObject",
                    said: format!("the answer has no {what}"),
                    source: None,
                };
                let bytes = bytes.ok_or_else(|| lacking("length"))?;
                let etag = etag.ok_or_else(|| lacking("entity tag"))?;
                let last_modified = head.last_modified().and_then(|at| at.to_millis().ok());
                let last_modified = last_modified.ok_or_else(|| lacking("time"))?;
                Ok(Some(ObjectInfo {
                    bytes,
                    etag,
                    last_modified: Timestamp::from_unix_millis(last_modified),
                }))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed("HeadObject")(error)),
        }
    }

    /// S3 itself compares, at the moment of the deletion
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html>). Not all that speak S3's protocol
    /// do, so it is compared before as well.
    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError> {
        if self.head(bucket, key).await?.is_none_or(|stands| stands.etag != etag) {
            return Ok(());
        }
        let quoted = format!("\"{etag}\"");
        match self.client.delete_object().bucket(bucket).key(key).if_match(quoted).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) || is_another(&error) => Ok(()),
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

    /// Page by page: a page of `ListObjectsV2` has as many keys as one `DeleteObjects` may have, 1,000.
    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError> {
        let mut pages = self.client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("ListObjectsV2"))?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            let objects = keys
                .map(|key| ObjectIdentifier::builder().key(key).build())
                .collect::<Result<Vec<_>, _>>()?;
            if objects.is_empty() {
                continue;
            }
            let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build()?;
            let answer = self.client.delete_objects().bucket(bucket).delete(delete).send().await;
            let answer = answer.map_err(failed("DeleteObjects"))?;
            // The call succeeds although some of its keys do not.
            if let Some(error) = answer.errors().first() {
                let said = error.code().unwrap_or("an error without a code").to_owned();
                return Err(S3Error { operation: "DeleteObjects", said, source: None }.into());
            }
        }
        Ok(())
    }
}
