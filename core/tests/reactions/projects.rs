//! The project of an upload: its settings and keys are those of the moment, at a cost that does not grow with its history.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use streamio_core::reactions::react::{Ports, react};
use streamio_core::testing::{TestRegion, grant, ids, notification};
use streamio_core::uploads::{Received, receive};
use streamio_events::commit::{Head, NewCommit};
use streamio_events::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;

/// A log that counts the reads of projects' streams and the commits that they return.
struct CountingLog {
    inner: MemoryLog,
    reads: AtomicUsize,
    commits: AtomicUsize,
}

#[async_trait]
impl EventLog for CountingLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        self.inner.append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.inner.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        let page = self.inner.read(stream, from, limit).await?;
        if let StreamId::Project(_) = stream {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.commits.fetch_add(page.commits.len(), Ordering::Relaxed);
        }
        Ok(page)
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.inner.scan(part, after, limit).await
    }
}

#[tokio::test]
async fn an_uploads_cost_does_not_grow_with_its_projects_history() {
    const CHANGES: usize = 100;
    let region = TestRegion::with_project().await;
    for number in 0..CHANGES {
        region.rename_project(&format!("name {number}")).await;
    }
    let log =
        CountingLog { inner: region.log.clone(), reads: AtomicUsize::new(0), commits: AtomicUsize::new(0) };
    let ports = Ports { log: &log, ..region.ports() };
    for upload in 0..20 {
        let name = format!("{upload}.mp4");
        region.record_grant(region.now, grant(&name, region.now.plus(Duration::from_mins(5)))).await;
        let notification = notification(&name, "01");
        region.objects.put_in(&region.policy.raw_bucket, &notification);
        let received = receive(ports.uploads(), region.now, notification).await.unwrap();
        assert!(matches!(received, Received::Accepted(_)), "{received:?}");
        let (project_id, video_id) = ids(&name);
        react(ports, region.now, &project_id, &video_id).await.unwrap();
    }
    assert_eq!(log.commits.load(Ordering::Relaxed), CHANGES + 1, "each commit of the project is read once");
    // The acceptance and the dispatch.
    assert_eq!(log.reads.load(Ordering::Relaxed), 2 * 20);
}

/// The project is in the cache when its key is revoked.
#[tokio::test]
async fn a_revoked_key_is_found_revoked_by_the_next_upload() {
    let region = TestRegion::with_project().await;
    let key_id = region.create_key().await;
    let upload = async |name: &str| {
        let expires_at = region.now.plus(Duration::from_mins(5));
        let granted =
            streamio_events::event::UploadGranted { key_id: key_id.clone(), ..grant(name, expires_at) };
        region.record_grant(region.now, granted).await;
        let mut notification = notification(name, "01");
        notification.created_at = region.now.plus(Duration::from_secs(1));
        region.objects.put_in(&region.policy.raw_bucket, &notification);
        region.receive_only(notification).await
    };
    assert!(matches!(upload("before.mp4").await, Received::Accepted(_)));
    region.revoke_key(&key_id).await;
    assert!(matches!(upload("after.mp4").await, Received::Rejected(..)));
}
