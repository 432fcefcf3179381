use std::collections::BTreeMap;

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

#[tokio::test]
async fn uploaded_and_processing_videos_are_found() {
    let store = TempViewStore::new().open().await;
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
async fn pending_streams_are_kept_until_their_last_failed_change_is_delivered() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("views.db");
    let store = SqliteViewStore::open(&path).unwrap();
    let at = |position: u64| BTreeMap::from([("video/acme/a".to_owned(), position)]);
    store.advance("react", 7, at(5)).await.unwrap();
    store.advance("react", 9, at(8)).await.unwrap();
    store.advance("views", 9, at(3)).await.unwrap();
    drop(store);
    let store = SqliteViewStore::open(&path).unwrap();
    assert_eq!(store.pending("react").await.unwrap(), at(8));
    // A delivery that began before the change at 8 failed.
    store.resolve("react", at(5)).await.unwrap();
    assert_eq!(store.pending("react").await.unwrap(), at(8));
    store.resolve("react", at(8)).await.unwrap();
    assert!(store.pending("react").await.unwrap().is_empty());
    assert_eq!(store.pending("views").await.unwrap(), at(3));
}
