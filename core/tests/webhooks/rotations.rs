//! Endpoints that are changed again and again: what that costs the scheduling of messages.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use streamio_core::fold_cache::EndpointCache;
use streamio_core::ports::project_feed::FeedPlaces;
use streamio_core::testing::notification;
use streamio_core::webhooks::messages::leads_to_messages;
use streamio_core::webhooks::scheduling::{self, schedule_messages};
use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::home::WebhookCall;
use streamio_events::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;

use crate::harness::Harness;

const URL: &str = "https://hooks.example.com/a";

/// A log that counts the commits of projects' endpoints that are read.
struct CountingLog {
    log: MemoryLog,
    read: AtomicUsize,
}

#[async_trait]
impl EventLog for CountingLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        self.log.append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.log.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        let page = self.log.read(stream, from, limit).await?;
        if matches!(stream, StreamId::Webhooks(_)) {
            self.read.fetch_add(page.commits.len(), Ordering::SeqCst);
        }
        Ok(page)
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.log.scan(part, after, limit).await
    }
}

/// Rotates the secret `before` times before each of `messages` uploads and `after` times after all of them, and handles the uploads only
/// then. Returns how many commits of endpoints were read for each upload, the first one excepted.
async fn read_for_each(before: usize, messages: usize, after: usize) -> Vec<usize> {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    let rotate = async |harness: &mut Harness, times: usize| {
        for _ in 0..times {
            let commit_id = harness.request();
            let webhook_id = webhook_id.clone();
            harness
                .call(WebhookCall::RotateSecret { webhook_id, commit_id, overlap_seconds: 3600 })
                .await
                .unwrap();
        }
    };
    for number in 0..messages {
        rotate(&mut harness, before).await;
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
    }
    rotate(&mut harness, after).await;
    let changes = harness.region.log.changes_after(0, 10_000).await.unwrap();
    let uploads: Vec<Commit> =
        changes.into_iter().map(|(_, commit)| commit).filter(leads_to_messages).collect();
    assert_eq!(uploads.len(), messages);
    let log = CountingLog { log: harness.region.log.clone(), read: AtomicUsize::new(0) };
    let endpoints = EndpointCache::default();
    let places: &dyn FeedPlaces = harness.places();
    let mut counts = Vec::new();
    for commit in &uploads {
        let ports = scheduling::Ports { log: &log, endpoints: &endpoints, places };
        schedule_messages(ports, harness.now(), &commit.stream, &[commit]).await.unwrap();
        counts.push(log.read.swap(0, Ordering::SeqCst));
    }
    harness.consume().await;
    assert_eq!(harness.deliveries_to(&webhook_id).await.len(), messages);
    counts.split_off(1)
}

#[tokio::test]
async fn a_message_after_many_changes_of_endpoints_reads_none_of_them_again() {
    let counts = read_for_each(200, 2, 0).await;
    assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
}

#[tokio::test]
async fn messages_before_many_changes_of_endpoints_do_not_read_all_of_them_again() {
    let counts = read_for_each(20, 5, 200).await;
    assert!(counts.iter().all(|count| *count <= 60), "{counts:?}");
}
