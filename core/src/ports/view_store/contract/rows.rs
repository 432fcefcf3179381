//! Properties of rows.

use streamio_events::video::Phase;

use super::fixtures::{full_row, phase, row};
use super::harness::ViewStoreHarness;
use crate::ports::view_store::ViewStore;

/// Every field of a row is stored, with exact numbers and unusual characters.
pub async fn a_stored_row_is_returned_unchanged(harness: &impl ViewStoreHarness) {
    let store = harness.open().await;
    let full = full_row();
    let (project_id, video_id) = (&full.video.project_id, &full.video.video_id);
    assert_eq!(store.get(project_id, video_id).await.unwrap(), None);
    assert!(store.put(&full).await.unwrap());
    let other = harness.open().await;
    assert_eq!(other.get(project_id, video_id).await.unwrap().as_ref(), Some(&full));
    let elsewhere = "other".parse().expect("a project id");
    assert_eq!(store.get(&elsewhere, video_id).await.unwrap(), None);
}

/// Replays and duplicates change nothing.
pub async fn a_row_is_replaced_only_by_a_higher_version(harness: &impl ViewStoreHarness) {
    let store = harness.open().await;
    for (version, kind, written) in [(2, 1, true), (2, 2, false), (1, 3, false), (5, 0, true), (4, 1, false)]
    {
        let put = store.put(&row("acme", "a", version, 0, phase(kind))).await.unwrap();
        assert_eq!(put, written, "version {version}");
    }
    let kept = row("acme", "a", 5, 0, phase(0));
    let got = store.get(&kept.video.project_id, &kept.video.video_id).await.unwrap();
    assert_eq!(got, Some(kept));
}

/// Readers never see a version decrease, in any order of writes.
pub async fn racing_writers_leave_the_highest_version(harness: &impl ViewStoreHarness) {
    const WRITERS: u64 = 8;
    const VERSIONS: u64 = 16;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = harness.open().await;
        tasks.spawn(async move {
            let mut versions: Vec<u64> = (0..VERSIONS).map(|n| 1 + n * WRITERS + writer).collect();
            let mut random = fastrand::Rng::with_seed(writer + 1);
            versions.sort_by_cached_key(|_| random.u64(..1000));
            for version in versions {
                store.put(&row("acme", "a", version, 0, Phase::Ready)).await.unwrap();
            }
        });
    }
    let reader = harness.open().await;
    let watched = row("acme", "a", 1, 0, Phase::Ready).video;
    let mut seen = 0;
    loop {
        let is_last = tasks.is_empty();
        let got = reader.get(&watched.project_id, &watched.video_id).await.unwrap();
        let version = got.map_or(0, |row| row.video.version);
        assert!(version >= seen, "version {version} after {seen}");
        seen = version;
        if is_last {
            break;
        }
        while let Some(joined) = tasks.try_join_next() {
            joined.unwrap();
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, WRITERS * VERSIONS);
}
