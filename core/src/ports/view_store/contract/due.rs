//! Properties of due videos.

use std::collections::BTreeSet;

use streamio_events::log::Part;
use streamio_events::video::Phase;

use super::fixtures::{DUE_MILLIS, at, row, started, uploaded};
use super::harness::ViewStoreHarness;
use crate::ports::view_store::{Urgency, VideoRow, ViewStore};

async fn due(store: &impl ViewStore, millis: i64, limit: usize) -> Vec<VideoRow> {
    store.due(Part::WHOLE, Urgency::Dispatch, at(millis), limit).await.unwrap()
}

/// Due videos of all projects are returned, at most `limit`.
pub async fn due_videos_are_returned_longest_overdue_first(harness: &impl ViewStoreHarness) {
    let store = harness.open().await;
    for n in 0..24 {
        let project = if n % 2 == 0 { "acme" } else { "other" };
        let uploaded_at = Phase::Uploaded { at: at(1000 * (n * 7 % 24)) };
        store.put(&row(project, &format!("v{n}"), 1, 0, uploaded_at)).await.unwrap();
        store.put(&row(project, &format!("ready{n}"), 1, 0, Phase::Ready)).await.unwrap();
    }
    let when = |rows: &[VideoRow]| -> Vec<i64> {
        rows.iter().map(|row| row.due_at.expect("a due row has a due time").unix_millis()).collect()
    };
    for limit in [1, 5, 24, 100] {
        let all = due(&store, 1_000_000, limit).await;
        let expected: Vec<i64> = (0..24).map(|n| n * 1000).take(limit).collect();
        assert_eq!(when(&all), expected, "at most {limit}");
    }
    assert_eq!(
        when(&due(&store, 3000, 100).await),
        [0, 1000, 2000, 3000],
        "a video is due from its due time on"
    );
    assert_eq!(when(&due(&store, 2999, 100).await), [0, 1000, 2000]);
    assert!(due(&store, 1_000_000, 0).await.is_empty());
}

/// A deferral applies to one version of a row.
pub async fn a_deferred_video_is_due_at_its_time_or_with_its_next_version(harness: &impl ViewStoreHarness) {
    let store = harness.open().await;
    let first = row("acme", "a", 1, 0, uploaded());
    store.put(&first).await.unwrap();
    store.defer(&first, Some(at(DUE_MILLIS + 5000))).await.unwrap();
    assert!(due(&store, DUE_MILLIS, 10).await.is_empty());
    assert_eq!(due(&store, DUE_MILLIS + 5000, 10).await, std::slice::from_ref(&first));
    let got = store.get(&first.video.project_id, &first.video.video_id).await.unwrap();
    assert_eq!(got.as_ref(), Some(&first), "a deferral does not change the row");
    store.defer(&first, None).await.unwrap();
    assert!(due(&store, DUE_MILLIS + 5000, 10).await.is_empty());

    let second = row("acme", "a", 2, 0, uploaded());
    assert!(store.put(&second).await.unwrap());
    assert_eq!(due(&store, DUE_MILLIS, 10).await, std::slice::from_ref(&second));
    store.defer(&first, None).await.unwrap();
    assert_eq!(due(&store, DUE_MILLIS, 10).await.len(), 1, "the deferred version has been replaced");
    store.defer(&row("acme", "b", 1, 0, uploaded()), Some(at(0))).await.unwrap();
    assert_eq!(due(&store, DUE_MILLIS, 10).await.len(), 1, "a deferral creates no row");
    store.put(&row("acme", "a", 3, 0, Phase::Ready)).await.unwrap();
    assert!(due(&store, i64::MAX, 10).await.is_empty());
}

/// Any number of uploads to dispatch and of attempts that wait for capacity does not delay the video whose worker is silent.
pub async fn urgent_work_is_found_before_any_amount_of_other_work(harness: &impl ViewStoreHarness) {
    let store = harness.open().await;
    let due = async |urgency: Urgency, limit: usize| {
        store.due(Part::WHOLE, urgency, at(1_000_000), limit).await.unwrap()
    };
    for n in 0..40 {
        let waiting = Phase::Dispatched { at: at(n) };
        store.put(&row("acme", &format!("v{n}"), 1, 0, waiting)).await.unwrap();
        let uploaded = Phase::Uploaded { at: at(n) };
        store.put(&row("acme", &format!("u{n}"), 1, 0, uploaded)).await.unwrap();
    }
    let silent = row("acme", "silent", 1, 0, started(500_000));
    store.put(&silent).await.unwrap();
    assert_eq!(due(Urgency::Worker, 3).await, std::slice::from_ref(&silent));
    assert_eq!(due(Urgency::Dispatch, 100).await.len(), 40);
    assert_eq!(due(Urgency::Deferrable, 100).await.len(), 40);
    // The urgency follows the phase.
    store.put(&row("acme", "silent", 2, 0, Phase::Dispatched { at: at(100) })).await.unwrap();
    assert!(due(Urgency::Worker, 3).await.is_empty());
    assert_eq!(due(Urgency::Deferrable, 100).await.len(), 41);
}

/// The parts of a division together return every due video once, and each part its longest overdue ones first.
pub async fn the_parts_of_due_work_are_disjoint_and_complete(harness: &impl ViewStoreHarness) {
    const VIDEOS: i64 = 60;
    let store = harness.open().await;
    for n in 0..VIDEOS {
        let phase = Phase::Uploaded { at: at(1000 * (n * 7 % VIDEOS)) };
        store.put(&row("acme", &format!("v{n}"), 1, 0, phase)).await.unwrap();
    }
    for of in [1, 2, 3, 16] {
        let mut all = BTreeSet::new();
        for index in 0..of {
            let part = Part::new(index, of).expect("the index is below the number of parts");
            let whole = store.due(part, Urgency::Dispatch, at(1_000_000), 100).await.unwrap();
            let overdue: Vec<_> = whole.iter().map(|row| row.due_at).collect();
            assert!(overdue.is_sorted(), "part {index} of {of}: {overdue:?}");
            let some = store.due(part, Urgency::Dispatch, at(1_000_000), 2).await.unwrap();
            assert_eq!(some, whole[..whole.len().min(2)], "part {index} of {of}");
            for row in whole {
                assert!(all.insert(row.video.video_id.to_string()), "a video is in two parts of {of}");
            }
        }
        assert_eq!(all.len(), usize::try_from(VIDEOS).expect("a small number"), "{of} parts");
    }
}
