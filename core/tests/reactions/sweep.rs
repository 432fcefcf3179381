//! The sweep: its limits, and workers that cannot be launched.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use streamio_core::ports::view_store::{Urgency, VideoPage, VideoRow, ViewStore, ViewStoreError};
use streamio_core::reactions::sweep::{Bounds, SweepReport, sweep};
use streamio_core::testing::{BOUNDS, MemoryViews, TestRegion, notification};
use streamio_events::home::VideoFilter;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::Part;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Phase;

async fn with_uploads(count: usize) -> TestRegion {
    let mut region = TestRegion::with_project().await;
    for number in 0..count {
        let name = format!("{number}.mp4");
        region.receive(notification(&name, "01")).await;
        region.refresh(&name).await;
    }
    region.wait(Duration::from_secs(1));
    region
}

#[tokio::test]
async fn a_sweep_handles_at_most_its_limit_and_the_next_one_the_rest() {
    let region = with_uploads(5).await;
    let bounds = Bounds { videos: 3, ..BOUNDS };
    for handled in [3, 2, 0] {
        let swept = sweep(region.ports(), &*region.store, &|| region.now, Part::WHOLE, bounds).await.unwrap();
        assert_eq!(swept, SweepReport { handled, ..SweepReport::default() });
    }
    assert_eq!(region.launcher.launched().len(), 5);
}

#[tokio::test]
async fn a_sweep_starts_nothing_after_its_time_limit() {
    let region = with_uploads(20).await;
    let ticks = AtomicI64::new(region.now.unix_millis());
    // Each reading of the clock is ten seconds later.
    let clock = || Timestamp::from_unix_millis(ticks.fetch_add(10_000, Ordering::Relaxed));
    let swept = sweep(region.ports(), &*region.store, &clock, Part::WHOLE, BOUNDS).await.unwrap();
    assert_eq!((swept.handled, swept.left), (5, 15), "{swept:?}");
    let rest = sweep(region.ports(), &*region.store, &|| region.now, Part::WHOLE, BOUNDS).await.unwrap();
    assert_eq!(rest, SweepReport { handled: 15, ..SweepReport::default() });
}

#[tokio::test]
async fn without_capacity_an_attempt_stays_dispatched_and_is_launched_later() {
    let mut region = with_uploads(1).await;
    region.launcher.fail_next();
    // The upload was accepted a second ago.
    let oldest_wait = Duration::from_secs(1);
    assert_eq!(region.sweep().await, SweepReport { failed: 1, oldest_wait, ..SweepReport::default() });
    assert_eq!(region.sweep().await, SweepReport::default(), "not immediately");
    region.refresh("0.mp4").await;
    region.wait(Duration::from_mins(3));
    assert_eq!(region.sweep().await, SweepReport { handled: 1, ..SweepReport::default() });
    assert_eq!(region.video("0.mp4").await.attempt, 1);
    assert_eq!(region.launcher.launched().len(), 1);
}

#[tokio::test]
async fn a_launcher_that_rejects_requests_loses_no_video_and_quarantines_none() {
    let mut region = with_uploads(1).await;
    for waited in [1, 180, 360] {
        region.launcher.refuse_next();
        let oldest_wait = Duration::from_secs(waited);
        assert_eq!(region.sweep().await, SweepReport { failed: 1, oldest_wait, ..SweepReport::default() });
        region.refresh("0.mp4").await;
        region.wait(Duration::from_mins(3));
    }
    let kinds: Vec<_> = region.events("0.mp4").await.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["upload.granted", "upload.completed", "processing.dispatched"]);
    region.sweep().await;
    assert_eq!(region.launcher.launched().len(), 1, "repaired");
    assert!(matches!(region.video("0.mp4").await.phase, Phase::Dispatched { .. }));
}

/// More attempts wait for capacity, and more uploads for their dispatch, than a sweep handles, all of them longer overdue than the silent
/// worker.
#[tokio::test]
async fn a_silent_worker_is_found_however_much_else_is_due() {
    let mut region = with_uploads(80).await;
    for number in 0..40 {
        region.react(&format!("{number}.mp4")).await.unwrap();
        region.refresh(&format!("{number}.mp4")).await;
    }
    region.start("silent.mp4").await;
    region.refresh("silent.mp4").await;
    region.wait(Duration::from_mins(10));
    let bounds = Bounds { videos: 10, ..BOUNDS };
    let swept = sweep(region.ports(), &*region.store, &|| region.now, Part::WHOLE, bounds).await.unwrap();
    assert_eq!(swept.handled, 21, "the silent worker, and ten of each of the others: {swept:?}");
    let kinds: Vec<_> = region.events("silent.mp4").await.into_iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&"processing.expired".to_owned()), "{kinds:?}");
}

/// Nor do other sweeps: each handles its part, and together they handle everything once.
#[tokio::test]
async fn the_sweeps_of_all_parts_handle_every_video_once() {
    let region = with_uploads(50).await;
    let mut handled = Vec::new();
    for index in 0..4 {
        let part = Part::new(index, 4).unwrap();
        let swept = sweep(region.ports(), &*region.store, &|| region.now, part, BOUNDS).await.unwrap();
        handled.push(swept.handled);
    }
    assert_eq!(handled.iter().sum::<usize>(), 50, "{handled:?}");
    assert!(handled.iter().all(|count| *count > 0), "{handled:?}");
    assert_eq!(region.launcher.launched().len(), 50);
}

/// A sweep reads page after page until its time is over.
#[tokio::test]
async fn a_sweep_handles_more_than_a_page() {
    let region = with_uploads(600).await;
    let bounds = Bounds { videos: 10_000, ..BOUNDS };
    let swept = sweep(region.ports(), &*region.store, &|| region.now, Part::WHOLE, bounds).await.unwrap();
    assert_eq!(swept, SweepReport { handled: 600, ..SweepReport::default() });
}

/// Views that cannot be deferred: every due video stays due.
struct Undeferrable(Arc<MemoryViews>);

#[async_trait]
impl ViewStore for Undeferrable {
    async fn get(&self, project: &ProjectId, video: &VideoId) -> Result<Option<VideoRow>, ViewStoreError> {
        self.0.get(project, video).await
    }

    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError> {
        self.0.put(row).await
    }

    async fn list(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<VideoPage, ViewStoreError> {
        self.0.list(project_id, filter, after, limit).await
    }

    async fn due(
        &self,
        part: Part,
        urgency: Urgency,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<VideoRow>, ViewStoreError> {
        self.0.due(part, urgency, now, limit).await
    }

    async fn defer(&self, _: &VideoRow, _: Option<Timestamp>) -> Result<(), ViewStoreError> {
        Err(ViewStoreError::Unavailable("throttled".into()))
    }
}

/// The longest overdue videos are still due after they were handled. Those behind them are handled nevertheless.
#[tokio::test]
async fn more_than_a_page_of_videos_that_stay_due_hides_no_other() {
    let mut region = with_uploads(600).await;
    let bounds = Bounds { videos: 10_000, ..BOUNDS };
    sweep(region.ports(), &*region.store, &|| region.now, Part::WHOLE, bounds).await.unwrap();
    region.wait(Duration::from_mins(3));
    let views = Undeferrable(Arc::clone(&region.store));
    let swept = sweep(region.ports(), &views, &|| region.now, Part::WHOLE, bounds).await.unwrap();
    assert_eq!(swept, SweepReport { failed: 600, ..SweepReport::default() });
}
