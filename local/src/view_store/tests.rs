use streamio_core::ports::view_store::contract::TestBed;
use streamio_events::object_key::SourceKey;
use streamio_events::video::{Phase, Policy, Video};

use super::*;

struct TempViewStore(tempfile::TempDir);

impl TempViewStore {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl TestBed for TempViewStore {
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
    store.set_cursor("react", 7).await.unwrap();
    store.set_cursor("react", 9).await.unwrap();
    drop(store);
    assert_eq!(SqliteViewStore::open(&path).unwrap().cursor("react").await.unwrap(), 9);
    std::fs::write(&path, "this is not a database, and it is longer than the header of one".repeat(20))
        .unwrap();
    assert_eq!(SqliteViewStore::open(&path).unwrap().cursor("react").await.unwrap(), 0);
}
