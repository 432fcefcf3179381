//! What is recorded of a project's use of its limits.

use std::sync::Mutex;

use async_trait::async_trait;
use futures::future::BoxFuture;
use streamio_core::ports::usage_store::{UsageStore, UsageStoreError};
use streamio_core::testing::{TestRegion, notification};
use streamio_core::uploads::{CreatedObject, Received};
use streamio_core::views::measuring::{Ports, measure_after};
use streamio_events::commit::Commit;
use streamio_events::day::Day;
use streamio_events::id::ProjectId;
use streamio_events::limits::{Limit, MeasuredUse, OwnLimits};
use streamio_events::log::EventLogExt as _;
use streamio_events::usage::Usage;

use crate::clip::{CLIP, ready, rejected};

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

/// Handles the commits as the views do: those of each stream together.
async fn measure(region: &TestRegion, usage: &dyn UsageStore, commits: &[Commit]) {
    let ports =
        Ports { log: &region.log, usage, projects: &region.projects, limits: &region.policy.project_limits };
    for commits in commits.chunk_by(|one, other| one.stream == other.stream) {
        let commits: Vec<&Commit> = commits.iter().collect();
        measure_after(ports, &commits, &|| region.now).await.unwrap();
    }
}

async fn measure_all(region: &TestRegion) {
    measure(region, &region.usage, &commits(region).await).await;
}

/// The commits that are in the log and not among `handled`.
async fn since(region: &TestRegion, handled: &[Commit]) -> Vec<Commit> {
    let mut commits = commits(region).await;
    commits.retain(|commit| !handled.contains(commit));
    commits
}

async fn measure_since(region: &TestRegion, handled: &[Commit]) {
    measure(region, &region.usage, &since(region, handled).await).await;
}

async fn commits(region: &TestRegion) -> Vec<Commit> {
    region.log.scan_to_end().await.unwrap()
}

async fn recorded(region: &TestRegion) -> Option<MeasuredUse> {
    region.projects.current(&region.log, &acme()).await.unwrap().measured.clone()
}

/// Whether an upload of `bytes` is refused where its URL is requested.
async fn is_refused(region: &TestRegion, bytes: u64) -> bool {
    recorded(region).await.is_some_and(|measured| measured.refuse_upload(bytes, region.now).is_some())
}

async fn upload(region: &TestRegion, name: &str, bytes: u64) -> Received {
    let created = CreatedObject { bytes, created_at: region.now, ..notification(name, "01") };
    region.receive(created).await
}

fn stored(limit: Option<Limit>) -> OwnLimits {
    OwnLimits { stored_bytes: limit, ..OwnLimits::default() }
}

#[tokio::test]
async fn without_limits_nothing_is_recorded() {
    let region = ready().await;
    measure_all(&region).await;
    assert_eq!(recorded(&region).await, None);
}

#[tokio::test]
async fn a_full_project_is_refused_until_a_video_is_deleted_or_its_limit_is_raised() {
    let region = ready().await;
    let has = region.video(CLIP).await.upload.unwrap().bytes;
    region.limit_project(stored(Some(Limit::AtMost(has + 160)))).await;
    measure_all(&region).await;
    assert!(is_refused(&region, 161).await && !is_refused(&region, 160).await, "when the limit is set");

    let handled = commits(&region).await;
    assert!(matches!(upload(&region, "b.mp4", 160).await, Received::Accepted(_)));
    measure_since(&region, &handled).await;
    assert!(is_refused(&region, 1).await, "when an upload is accepted");

    let handled = commits(&region).await;
    region.delete(CLIP).await;
    measure_since(&region, &handled).await;
    assert!(!is_refused(&region, has).await, "when a video is deleted");

    region.limit_project(stored(Some(Limit::AtMost(0)))).await;
    measure_all(&region).await;
    assert!(is_refused(&region, 1).await);
    region.limit_project(stored(None)).await;
    measure_all(&region).await;
    assert!(!is_refused(&region, 1 << 40).await, "when the limit is removed");
}

#[tokio::test]
async fn little_is_recorded_only_after_an_upload_was_rejected() {
    let region = ready().await;
    let has = region.video(CLIP).await.upload.unwrap().bytes;
    region.limit_project(stored(Some(Limit::AtMost(has + 1_000_000)))).await;
    measure_all(&region).await;
    let (first, handled) = (recorded(&region).await, commits(&region).await);
    upload(&region, "b.mp4", 1000).await;
    measure_since(&region, &handled).await;
    assert_eq!(recorded(&region).await, first);

    let handled = commits(&region).await;
    assert_eq!(rejected(&upload(&region, "c.mp4", 999_001).await), "limit_exceeded");
    measure_since(&region, &handled).await;
    assert!(is_refused(&region, 999_001).await && !is_refused(&region, 999_000).await);
    let handled = commits(&region).await;
    measure_all(&region).await;
    assert_eq!(commits(&region).await, handled, "it is recorded once");
}

/// What happens after a usage was read and before it is returned, once.
type Meanwhile<'a> = Mutex<Option<BoxFuture<'a, ()>>>;

/// Usage that is out of date when it is returned.
struct Late<'a> {
    region: &'a TestRegion,
    meanwhile: Meanwhile<'a>,
}

#[async_trait]
impl UsageStore for Late<'_> {
    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<Usage, UsageStoreError> {
        let usage = self.region.usage.usage(project_id, first, last).await;
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        usage
    }
}

/// One process has read that the project is full, and is late; meanwhile a video is deleted, and another process measures the usage. It
/// equals what is recorded, because the late process has recorded nothing yet, and so it records nothing.
#[tokio::test]
async fn a_late_measurement_does_not_last() {
    let region = ready().await;
    let has = region.video(CLIP).await.upload.unwrap().bytes;
    region.limit_project(stored(Some(Limit::AtMost(2 * has)))).await;
    measure_all(&region).await;
    let handled = commits(&region).await;
    upload(&region, "b.mp4", has).await;
    let late = Late { region: &region, meanwhile: Mutex::new(None) };
    *late.meanwhile.lock().unwrap() = Some(Box::pin(async {
        let handled = commits(&region).await;
        region.delete(CLIP).await;
        measure_since(&region, &handled).await;
        assert_eq!(since(&region, &handled).await.len(), 1, "only the deletion");
    }));
    let uploaded = since(&region, &handled).await;
    measure(&region, &late, &uploaded).await;
    assert!(!is_refused(&region, has).await);
}
