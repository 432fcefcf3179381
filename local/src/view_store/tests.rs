use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use streamio_events::media::VideoError;
use streamio_events::object_key::SourceKey;
use streamio_events::video::{Phase, Policy, Video};

use super::*;

fn row(project: &str, name: &str, version: u64, created: i64, phase: Phase) -> VideoRow {
    let s3_key: SourceKey = format!("projects/{project}/{name}").parse().unwrap();
    let mut video = Video::new(project.parse().unwrap(), VideoId::of(&s3_key));
    video.s3_key = Some(s3_key);
    video.version = version;
    video.created_at = Timestamp::from_unix_millis(created);
    video.phase = phase;
    VideoRow::of(video, &Policy::new("raw", "processed"))
}

fn phase(number: u8) -> Phase {
    match number % 4 {
        0 => Phase::Ready,
        1 => Phase::Uploaded { at: Timestamp::from_unix_seconds(10) },
        2 => Phase::Errored { error: VideoError::permanent("not_media", "no") },
        _ => Phase::Deleted,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn all_pages(store: &SqliteViewStore, state: Option<VideoState>, limit: usize) -> Vec<VideoStatus> {
    let project = "acme".parse().unwrap();
    let (mut videos, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(&project, state, after.as_deref(), limit).await.unwrap();
        assert!(page.videos.len() <= limit);
        videos.extend(page.videos);
        after = page.next;
        if after.is_none() {
            return videos;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_keeps_the_highest_version_and_lists_it_in_pages_newest_first(
        writes in prop::collection::vec((0u8..12, 1u64..6, any::<u8>()), 1..60),
        limit in 1usize..7,
    ) {
        runtime().block_on(async {
            let scratch = tempfile::tempdir().unwrap();
            let store = SqliteViewStore::open(&scratch.path().join("views.db")).unwrap();
            let mut model: BTreeMap<u8, VideoRow> = BTreeMap::new();
            for (name, version, kind) in writes {
                // Several were created in the same millisecond.
                let row = row("acme", &format!("v{name}"), version, i64::from(name / 3), phase(kind));
                let newer = model.get(&name).is_none_or(|known| known.video.version < version);
                assert_eq!(store.put(&row).await.unwrap(), newer);
                if newer {
                    model.insert(name, row);
                }
                store.put(&self::row("other", &format!("v{name}"), version, 0, phase(kind))).await.unwrap();
            }
            for state in [None, Some(VideoState::Ready), Some(VideoState::Deleted)] {
                let mut expected: Vec<VideoStatus> =
                    model.values().filter_map(|row| row.status.clone()).filter(|status| match state {
                        Some(state) => status.state == state,
                        None => status.state != VideoState::Deleted,
                    }).collect();
                expected.sort_by(|a, b| (b.created_at, &b.video_id).cmp(&(a.created_at, &a.video_id)));
                assert_eq!(all_pages(&store, state, limit).await, expected);
            }
            let due: Vec<VideoRow> = store.due(Timestamp::from_unix_seconds(10), 100).await.unwrap();
            assert_eq!(due.len(), 2 * model.values().filter(|row| row.due_at.is_some()).count());
            let in_progress = store.in_progress().await.unwrap().len();
            let uploaded = |row: &&VideoRow| matches!(row.video.phase, Phase::Uploaded { .. });
            assert_eq!(in_progress, 2 * model.values().filter(uploaded).count());
        });
    }
}

#[tokio::test]
async fn a_deferred_video_comes_back_with_its_next_version() {
    let scratch = tempfile::tempdir().unwrap();
    let store = SqliteViewStore::open(&scratch.path().join("views.db")).unwrap();
    let now = Timestamp::from_unix_seconds(10);
    let first = row("acme", "a", 1, 0, phase(1));
    store.put(&first).await.unwrap();
    store.defer(&first, Some(now.plus(Duration::from_secs(5)))).await.unwrap();
    assert!(store.due(now, 10).await.unwrap().is_empty());
    assert_eq!(store.due(now.plus(Duration::from_secs(5)), 10).await.unwrap(), std::slice::from_ref(&first));
    store.put(&row("acme", "a", 2, 0, phase(1))).await.unwrap();
    assert_eq!(store.due(now, 10).await.unwrap().len(), 1);
    store.defer(&first, None).await.unwrap();
    assert_eq!(store.due(now, 10).await.unwrap().len(), 1, "the row is of a later version by now");
}

#[tokio::test]
async fn cursors_survive_and_a_file_that_is_no_view_store_is_begun_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("views.db");
    let store = SqliteViewStore::open(&path).unwrap();
    assert_eq!(store.cursor("react").await.unwrap(), 0);
    store.set_cursor("react", 7).await.unwrap();
    store.set_cursor("react", 9).await.unwrap();
    drop(store);
    assert_eq!(SqliteViewStore::open(&path).unwrap().cursor("react").await.unwrap(), 9);
    std::fs::write(
        &path,
        "this is no database, and long enough to be told from one that is empty".repeat(20),
    )
    .unwrap();
    assert_eq!(SqliteViewStore::open(&path).unwrap().cursor("react").await.unwrap(), 0);
}

#[tokio::test]
async fn a_cursor_that_nobody_gave_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let store = SqliteViewStore::open(&scratch.path().join("views.db")).unwrap();
    for cursor in ["", "1", "x.y", "1.vid_x", "'; DROP TABLE videos; --"] {
        let listed = store.list(&"acme".parse().unwrap(), None, Some(cursor), 10).await;
        assert!(matches!(listed, Err(ViewStoreError::InvalidCursor)), "{cursor}");
    }
}
