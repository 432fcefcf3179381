use streamio_events::video::Phase;

use super::TestBed;
use super::given::{DUE_MILLIS, at, row, uploaded};
use crate::ports::view_store::{VideoRow, ViewStore};

async fn due(store: &impl ViewStore, millis: i64, limit: usize) -> Vec<VideoRow> {
    store.due(at(millis), limit).await.expect("an answer")
}

/// Of all projects, as many as are asked for, and nothing before its time.
pub async fn what_is_due_comes_longest_overdue_first(bed: &impl TestBed) {
    let store = bed.open().await;
    for n in 0..24 {
        let project = if n % 2 == 0 { "acme" } else { "other" };
        let uploaded_at = Phase::Uploaded { at: at(1000 * (n * 7 % 24)) };
        store.put(&row(project, &format!("v{n}"), 1, 0, uploaded_at)).await.expect("an answer");
        store.put(&row(project, &format!("ready{n}"), 1, 0, Phase::Ready)).await.expect("an answer");
    }
    let when = |rows: &[VideoRow]| -> Vec<i64> {
        rows.iter().map(|row| row.due_at.expect("what is due has a time").unix_millis()).collect()
    };
    for limit in [1, 5, 24, 100] {
        let all = due(&store, 1_000_000, limit).await;
        let expected: Vec<i64> = (0..24).map(|n| n * 1000).take(limit).collect();
        assert_eq!(when(&all), expected, "at most {limit}");
    }
    assert_eq!(when(&due(&store, 3000, 100).await), [0, 1000, 2000, 3000], "what is due now is due");
    assert_eq!(when(&due(&store, 2999, 100).await), [0, 1000, 2000]);
    assert!(due(&store, 1_000_000, 0).await.is_empty());
}

/// A deferral is of one version; the next version is due at its own time.
pub async fn a_deferred_video_comes_back_at_its_time_or_with_its_next_version(bed: &impl TestBed) {
    let store = bed.open().await;
    let first = row("acme", "a", 1, 0, uploaded());
    store.put(&first).await.expect("an answer");
    store.defer(&first, Some(at(DUE_MILLIS + 5000))).await.expect("an answer");
    assert!(due(&store, DUE_MILLIS, 10).await.is_empty());
    assert_eq!(due(&store, DUE_MILLIS + 5000, 10).await, std::slice::from_ref(&first));
    let got = store.get(&first.video.project_id, &first.video.video_id).await.expect("an answer");
    assert_eq!(got.as_ref(), Some(&first), "a deferral is not the row's");
    store.defer(&first, None).await.expect("an answer");
    assert!(due(&store, DUE_MILLIS + 5000, 10).await.is_empty());

    let second = row("acme", "a", 2, 0, uploaded());
    assert!(store.put(&second).await.expect("an answer"));
    assert_eq!(due(&store, DUE_MILLIS, 10).await, std::slice::from_ref(&second));
    store.defer(&first, None).await.expect("an answer");
    assert_eq!(due(&store, DUE_MILLIS, 10).await.len(), 1, "the row is of a later version by now");
    store.defer(&row("acme", "b", 1, 0, uploaded()), Some(at(0))).await.expect("an answer");
    assert_eq!(due(&store, DUE_MILLIS, 10).await.len(), 1, "what is not there is not made by a deferral");
    store.put(&row("acme", "a", 3, 0, Phase::Ready)).await.expect("an answer");
    assert!(due(&store, i64::MAX, 10).await.is_empty());
}
