use std::collections::BTreeMap;

use streamio_core::ports::delivery_store::contract::DeliveryStoreHarness;
use streamio_core::ports::view_store::contract::ViewStoreHarness;
use streamio_events::object_key::SourceKey;
use streamio_events::video::{Phase, Policy, Video};

use super::*;

struct TempViewStore(tempfile::TempDir);

impl TempViewStore {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl ViewStoreHarness for TempViewStore {
    type Store = SqliteViewStore;

    async fn open(&self) -> SqliteViewStore {
        SqliteViewStore::open(&self.0.path().join("views.db")).unwrap()
    }
}

streamio_core::view_store_contract!(TempViewStore::new());

impl DeliveryStoreHarness for TempViewStore {
    type Store = SqliteViewStore;

    async fn open(&self) -> SqliteViewStore {
        ViewStoreHarness::open(self).await
    }
}

#[tokio::test]
async fn dead_letters_keep_the_contract() {
    let temporary = TempViewStore::new();
    streamio_core::ports::dead_letters::contract::check(&ViewStoreHarness::open(&temporary).await).await;
}

mod deliveries {
    use super::*;

    streamio_core::delivery_store_contract!(TempViewStore::new());
}

#[tokio::test]
async fn uploaded_and_processing_videos_are_found() {
    let store = ViewStoreHarness::open(&TempViewStore::new()).await;
    let phases = [Phase::Ready, Phase::Uploaded { at: Timestamp::from_unix_seconds(10) }, Phase::Deleted];
    for (name, phase) in ["ready", "uploaded", "deleted"].into_iter().zip(phases) {
        let s3_key: SourceKey = format!("projects/acme/{name}").parse().unwrap();
        let mut video = Video::new("acme".parse().unwrap(), VideoId::of(&s3_key));
        video.s3_key = Some(s3_key);
        video.version = 1;
        video.phase = phase;
        store.put(&VideoRow::of(video, &Policy::new("raw", "processed"))).await.unwrap();
    }
    let found = store.in_progress().await.unwrap();
    assert!(matches!(&found[..], [VideoRow { video: Video { phase: Phase::Uploaded { .. }, .. }, .. }]));
}

#[tokio::test]
async fn cursors_are_kept_and_a_file_that_is_not_a_view_store_is_replaced() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("views.db");
    let store = SqliteViewStore::open(&path).unwrap();
    assert_eq!(store.cursor("react").await.unwrap(), 0);
    store.advance("react", 7, BTreeMap::new()).await.unwrap();
    store.advance("react", 9, BTreeMap::new()).await.unwrap();
    drop(store);
    assert_eq!(SqliteViewStore::open(&path).unwrap().cursor("react").await.unwrap(), 9);
    std::fs::write(&path, "this is not a database, and it is longer than the header of one".repeat(20))
        .unwrap();
    assert_eq!(SqliteViewStore::open(&path).unwrap().cursor("react").await.unwrap(), 0);
}

#[tokio::test]
async fn the_changes_of_a_stream_stay_pending_from_the_first_that_failed_to_the_last_that_was_read() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("views.db");
    let store = SqliteViewStore::open(&path).unwrap();
    let stream = || "video/acme/a".to_owned();
    let of = |first, last| BTreeMap::from([(stream(), Undelivered { first, last })]);
    let next = |position: u64| BTreeMap::from([(stream(), position)]);
    store.advance("react", 7, of(5, 6)).await.unwrap();
    store.advance("react", 9, of(8, 9)).await.unwrap();
    store.advance("views", 9, of(3, 3)).await.unwrap();
    drop(store);
    let store = SqliteViewStore::open(&path).unwrap();
    assert_eq!(store.pending("react").await.unwrap(), of(5, 9));
    // A delivery of the changes up to 6 began before those at 8 and 9 were read.
    store.resolve("react", next(7)).await.unwrap();
    assert_eq!(store.pending("react").await.unwrap(), of(7, 9));
    store.resolve("react", next(9)).await.unwrap();
    assert_eq!(store.pending("react").await.unwrap(), of(9, 9));
    store.resolve("react", next(10)).await.unwrap();
    assert!(store.pending("react").await.unwrap().is_empty());
    assert_eq!(store.pending("views").await.unwrap(), of(3, 3));
}

/// Stores a row of a ready video.
async fn ready(store: &SqliteViewStore, name: &str) -> VideoRow {
    let s3_key: SourceKey = format!("projects/acme/{name}").parse().unwrap();
    let mut video = Video::new("acme".parse().unwrap(), VideoId::of(&s3_key));
    (video.s3_key, video.version, video.phase) = (Some(s3_key), 7, Phase::Ready);
    let row = VideoRow::of(video, &Policy::new("raw", "processed"));
    store.put(&row).await.unwrap();
    row
}

#[tokio::test]
async fn an_unreadable_row_counts_as_absent_and_can_be_stored_again() {
    let store = ViewStoreHarness::open(&TempViewStore::new()).await;
    let (row, other) = (ready(&store, "one").await, ready(&store, "two").await);
    let (project_id, video_id) = (row.video.project_id.clone(), row.video.video_id.clone());
    let damaged = video_id.to_string();
    store
        .run(move |connection| {
            connection.execute("UPDATE videos SET row = '{' WHERE video_id = ?1", [damaged])
        })
        .await
        .unwrap();
    let page = store.list(&project_id, &VideoFilter::default(), None, 10).await.unwrap();
    assert_eq!(page.videos, [other.status.unwrap()]);
    assert_eq!(store.take_unreadable(), [(project_id.clone(), video_id.clone())]);
    assert_eq!(store.get(&project_id, &video_id).await.unwrap(), None);
    assert!(store.put(&row).await.unwrap(), "the same version replaces it");
    assert_eq!(store.get(&project_id, &video_id).await.unwrap(), Some(row));
}

#[tokio::test]
async fn a_page_with_an_unreadable_row_does_not_end_the_list() {
    let store = ViewStoreHarness::open(&TempViewStore::new()).await;
    for name in ["one", "two", "three"] {
        ready(&store, name).await;
    }
    let query = "UPDATE videos SET row = '{' WHERE video_id = (SELECT max(video_id) FROM videos)";
    store.run(|connection| connection.execute(query, [])).await.unwrap();
    let project_id = "acme".parse().unwrap();
    let page = store.list(&project_id, &VideoFilter::default(), None, 2).await.unwrap();
    assert_eq!(page.videos.len(), 1);
    let rest = store.list(&project_id, &VideoFilter::default(), page.next.as_deref(), 2).await.unwrap();
    assert_eq!((rest.videos.len(), rest.next), (1, None));
}

#[tokio::test]
async fn a_file_that_is_damaged_is_replaced_on_opening_and_while_it_is_used() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("views.db");
    let store = SqliteViewStore::open(&path).unwrap();
    for number in 0..500 {
        ready(&store, &format!("clip {number}")).await;
    }
    store.advance("react", 9, BTreeMap::new()).await.unwrap();
    drop(store);
    let damage = || {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.chunks_mut(4096).skip(1).for_each(|page| page[..64].fill(0xff));
        std::fs::write(&path, bytes).unwrap();
    };
    let intact = std::fs::read(&path).unwrap();
    damage();
    let store = SqliteViewStore::open(&path).unwrap();
    assert_eq!(store.cursor("react").await.unwrap(), 0);
    drop(store);
    std::fs::write(&path, intact).unwrap();
    let store = SqliteViewStore::open(&path).unwrap();
    assert_eq!(store.cursor("react").await.unwrap(), 9);
    // Nothing of it stays in the cache of pages.
    store.run(|connection| connection.execute_batch("PRAGMA shrink_memory")).await.unwrap();
    damage();
    store.in_progress().await.unwrap_err();
    assert_eq!(store.cursor("react").await.unwrap(), 0);
    ready(&store, "again").await;
}
