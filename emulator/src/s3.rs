//! Amazon S3: the object store of the one-machine platform, which checks signatures, and its events for EventBridge.
//!
//! The event "Object Created" is published for the bucket of sources only, at least once and in any order: see
//! [`crate::event_channel`] for the faults. Keys in it are not encoded, unlike in S3's event notifications
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>).
//!
//! The bucket of sources has versions.
//!
//! Not emulated: storage classes, encryption, policies, lifecycle rules, temporary credentials. Every
//! access key has all permissions.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use streamio_local::s3::{
    Config, CreatedBy, Credentials, EventNotification, Store, StoreError, StoreOptions, Versioning, Watch,
    serve,
};
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::arn::{ACCOUNT, REGION};
use crate::event_channel::EventChannel;
use crate::http_listener;
use crate::request_id::{random_hex, request_id};

/// The maximum number of notices read at once.
const BATCH: u32 = 256;

/// An access key, which signs requests.
#[derive(Clone)]
pub struct AccessKey {
    /// The id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The configuration of a store.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The folder for objects.
    pub folder: PathBuf,
    /// The bucket of sources. An event is published for each of its new objects.
    pub raw_bucket: String,
    /// The bucket of results.
    pub processed_bucket: String,
    /// The accepted access keys.
    pub keys: Vec<AccessKey>,
    /// The channel to which events are published.
    pub events: EventChannel,
}

/// Why a store could not be started.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The store could not be opened.
    #[error("could not open the object store")]
    Store(#[from] StoreError),
    /// The listener could not be started.
    #[error("could not start the listener of the object store")]
    Listen(#[from] io::Error),
}

/// A running store.
#[derive(Debug)]
pub struct S3 {
    endpoint: String,
    store: Store,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl S3 {
    /// Starts a store.
    pub async fn start(config: S3Config) -> Result<Self, S3Error> {
        let store = Store::open(config.folder, StoreOptions::default()).await?;
        store.ensure_bucket(&config.raw_bucket, Watch::Created).await?;
        store.set_versioning(&config.raw_bucket, Versioning::Enabled).await?;
        store.ensure_bucket(&config.processed_bucket, Watch::Off).await?;
        let listener = http_listener::bind().await?;
        let endpoint = http_listener::url(&listener)?;
        let credentials = config.keys.into_iter().map(|key| Credentials::new(key.id, key.secret)).collect();
        let protocol = Config { credentials, region: REGION.to_owned() };
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, store.clone(), protocol, stop.clone()));
        tokio::spawn(stop.clone().run_until_cancelled_owned(publish_events(store.clone(), config.events)));
        Ok(Self { endpoint, store, stop, served })
    }

    /// Returns the store's URL. Buckets are in the path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the store of the objects.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stops the store after the pending requests.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.served.await;
    }
}

/// Publishes an event for each new object.
async fn publish_events(store: Store, events: EventChannel) {
    let mut changes = store.watch_notifications();
    loop {
        changes.borrow_and_update();
        while let Ok(pending) = store.pending_notifications(BATCH).await
            && !pending.is_empty()
        {
            for notice in pending {
                events.send(object_created(&notice));
                if let Err(error) = store.acknowledge(notice.id).await {
                    tracing::warn!(error = %error, "could not acknowledge a notice of S3; it will be repeated");
                }
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Returns the event for a new object:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>.
pub fn object_created(notice: &EventNotification) -> Value {
    let reason = match notice.created_by {
        CreatedBy::Put => "PutObject",
        CreatedBy::CompleteMultipartUpload => "CompleteMultipartUpload",
        CreatedBy::Copy => "CopyObject",
    };
    let whole_second = notice.event_time.replace_millisecond(0).unwrap_or(notice.event_time);
    let mut object = json!({
        "key": notice.key,
        "size": notice.size,
        "etag": notice.etag,
        "sequencer": notice.sequencer,
    });
    // Only a bucket with versions has this field.
    if let Some(version_id) = &notice.version_id {
        object["version-id"] = json!(version_id);
    }
    json!({
        "version": "0",
        "id": request_id(),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": whole_second.format(&Rfc3339).unwrap_or_default(),
        "region": REGION,
        "resources": [format!("arn:aws:s3:::{}", notice.bucket)],
        "detail": {
            "version": "0",
            "bucket": { "name": notice.bucket },
            "object": object,
            "request-id": random_hex::<8>().to_uppercase(),
            "requester": ACCOUNT,
            "source-ip-address": "127.0.0.1",
            "reason": reason,
        },
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn an_object_created_event_has_the_form_of_the_real_service() {
        let mut event = object_created(&EventNotification {
            id: 1,
            bucket: "raw".to_owned(),
            key: "projects/acme/red flower+1.mp4".to_owned(),
            size: 5,
            etag: "b1946ac92492d2347c6235b4d2611184".to_owned(),
            sequencer: "00617F08299329D1".to_owned(),
            version_id: Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e".to_owned()),
            content_type: None,
            created_by: CreatedBy::Put,
            event_time: datetime!(2026-01-02 03:04:05.678 UTC),
        });
        event["id"] = json!("17793124-05d4-b198-2fde-7ededc63b103");
        event["detail"]["request-id"] = json!("N4N7GDK58NMKJ12R");
        insta::assert_snapshot!(serde_json::to_string_pretty(&event).unwrap());
    }

    #[tokio::test]
    async fn events_are_published_for_new_sources_and_not_for_results() {
        let folder = tempfile::tempdir().unwrap();
        let (channel, mut events) = EventChannel::new();
        let key = AccessKey { id: "AKIDEXAMPLE".to_owned(), secret: "secret".to_owned() };
        let config = S3Config {
            folder: folder.path().join("s3"),
            raw_bucket: "raw".to_owned(),
            processed_bucket: "processed".to_owned(),
            keys: vec![key.clone()],
            events: channel,
        };
        let s3 = S3::start(config).await.unwrap();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .endpoint_url(s3.endpoint())
            .force_path_style(true)
            .region(aws_sdk_s3::config::Region::new(REGION))
            .credentials_provider(aws_sdk_s3::config::Credentials::new(
                key.id, key.secret, None, None, "test",
            ));
        let client = aws_sdk_s3::Client::from_conf(config.build());
        for bucket in ["processed", "raw"] {
            let body = aws_sdk_s3::primitives::ByteStream::from_static(b"film");
            client.put_object().bucket(bucket).key("projects/acme/a b.mp4").body(body).send().await.unwrap();
        }
        let event = events.recv().await.unwrap();
        let object = &event["detail"]["object"];
        assert_eq!(
            (&event["detail"]["bucket"]["name"], &object["key"]),
            (&json!("raw"), &json!("projects/acme/a b.mp4"))
        );
        assert_eq!((&object["size"], &event["source"]), (&json!(4), &json!("aws.s3")));
        s3.stop().await;
        assert!(events.recv().await.is_none(), "no other event was published");
    }
}
