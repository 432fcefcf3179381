//! `uploads`: records uploads from S3 event notifications of created objects, direct or by EventBridge.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_core::delivery::batch::{Batch, Handler, Progress, Record, Report, RetryPolicy};
use streamio_core::delivery::quarantine;
use streamio_core::delivery::redrive::Redeliver;
use streamio_core::fold_cache::ProjectCache;
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::DeadLetterStore;
use streamio_core::ports::object_store::ObjectStore;
use streamio_core::ports::usage_store::UsageStore;
use streamio_core::uploads::{Ports, Received, UploadError, receive_notification};
use streamio_events::id::VideoId;
use streamio_events::log::EventLog;
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;

use super::{ASYNCHRONOUS_EVENT_AGE, redrive};
use crate::adapters::dynamo::DynamoViews;
use crate::adapters::s3::S3Objects;
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, from_environment};
use crate::triggers::s3::{Created, read};

/// The name of the function.
const FUNCTION: &str = "uploads";

/// The function.
pub struct Uploads {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The object store.
    pub objects: Arc<dyn ObjectStore>,
    /// Stores records that cannot be handled.
    pub dead_letters: Arc<dyn DeadLetterStore>,
    /// What projects used.
    pub usage: Arc<dyn UsageStore>,
    /// The projects' settings and keys.
    pub projects: ProjectCache,
    /// The bucket of sources, and the limits of what is accepted.
    pub policy: Policy,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

impl Uploads {
    /// The function with settings and adapters from the environment.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        let (ledger, views, policy, s3) =
            from_environment::<(settings::Ledger, settings::Views, Policy, settings::S3)>()?;
        let sdk = crate::adapters::sdk_config().await;
        let log = super::ledger(&sdk, &ledger);
        let views = super::views(&sdk, &views, &log);
        Ok(Self {
            objects: Arc::new(S3Objects::new(&sdk, s3)),
            usage: Arc::<DynamoViews>::clone(&views),
            dead_letters: views,
            log,
            projects: ProjectCache::default(),
            policy,
            clock,
        })
    }

    /// The stream of the video whose source the object is; `None` if the object is not a source.
    fn stream_of(&self, created: &Created) -> Option<StreamId> {
        if created.bucket != self.policy.raw_bucket {
            tracing::warn!(bucket = created.bucket, "the object is not in the bucket of sources");
            return None;
        }
        match created.key.parse::<SourceKey>() {
            Ok(key) => Some(StreamId::Video(key.project_id().clone(), VideoId::of(&key))),
            Err(invalid) => {
                tracing::warn!(s3.key = created.key, reason = %invalid, "the key of an object in the bucket of sources is not a source key");
                None
            }
        }
    }

    /// The records of sources, and the unreadable ones.
    fn relevant(&self, records: Vec<Record<Created>>) -> Vec<Record<(StreamId, Created)>> {
        let relevant = records.into_iter().filter_map(|record| {
            let Record { sequence, id, arrived_at, payload, content } = record;
            let content = match content {
                Ok(created) => Ok((self.stream_of(&created)?, created)),
                Err(error) => Err(error),
            };
            Some(Record { sequence, id, arrived_at, payload, content })
        });
        relevant.collect()
    }
}

#[async_trait]
impl Function for Uploads {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        if let Some(id) = redrive::requested(&event) {
            return redrive::answer(&*self.dead_letters, FUNCTION, id, self).await;
        }
        let records = self.relevant(read(event)?);
        let batch = Batch {
            function: FUNCTION,
            dead_letters: &*self.dead_letters,
            retry_policy: &RetryPolicy::since_arrival(ASYNCHRONOUS_EVENT_AGE),
        };
        let report = batch.run(&records, self, (self.clock)()).await;
        if !report.failed.is_empty() {
            // Lambda retries the whole event; uploads that are recorded by then are recognised.
            let (failed, of) = (report.failed.len(), records.len());
            return Err(format!("{failed} of {of} uploads could not be recorded").into());
        }
        let mut done = Done::of_batch(&report)?;
        done.response = Value::Null;
        Ok(done)
    }
}

#[async_trait]
impl Redeliver for Uploads {
    /// A payload is a whole event of EventBridge, or a record of a direct notification.
    async fn redeliver(&self, payload: &str, batch: Batch<'_>) -> Result<Report, AdapterError> {
        let whole: Value = serde_json::from_str(payload)?;
        let event = if whole.get("detail-type").is_some() { whole } else { redrive::batch_of(payload)? };
        let records = self.relevant(read(event)?);
        Ok(batch.run(&records, self, (self.clock)()).await)
    }
}

#[async_trait]
impl Handler for Uploads {
    type Item = (StreamId, Created);
    type Error = UploadError;

    fn stream(&self, (stream, _): &Self::Item) -> StreamId {
        stream.clone()
    }

    async fn handle(&self, _: &StreamId, items: &[&Self::Item]) -> Progress<UploadError> {
        let ports = Ports {
            log: &*self.log,
            objects: &*self.objects,
            usage: &*self.usage,
            projects: &self.projects,
            policy: &self.policy,
        };
        for (index, (_, created)) in items.iter().enumerate() {
            match receive_notification(ports, (self.clock)(), &created.notification).await {
                Ok(Received::Accepted(video_id)) => {
                    tracing::info!(video.id = %video_id, "an upload has arrived");
                }
                Ok(Received::Waiting(video_id)) => {
                    tracing::info!(video.id = %video_id, "an upload has arrived and waits for its grant");
                }
                Ok(Received::Rejected(video_id, error)) => {
                    tracing::warn!(video.id = %video_id, error = %error, "an upload is rejected");
                }
                Ok(Received::Gone(video_id)) => {
                    tracing::info!(video.id = %video_id, "an upload was replaced before it was recorded");
                }
                Ok(Received::Duplicate(_) | Received::NotASource(_)) => {}
                Err(error) => return Progress::until(index, error),
            }
        }
        Progress::all(items.len())
    }

    async fn quarantine(&self, stream: &StreamId, _: &Self::Item, error: &UploadError) {
        quarantine::report_at_head(&*self.log, (self.clock)(), stream, error).await;
    }
}
