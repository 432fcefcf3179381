use streamio_core::ports::view_store::contract::TestBed;
use streamio_events::object_key::SourceKey;
use streamio_events::video::{Phase, Policy, Video};

use super::*;

struct FileBed(tempfile::TempDir);

impl FileBed {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl TestBed for FileBed {
    type Store = SqliteViewStore;

    async fn open(&self) -> SqliteViewStore {
        SqliteViewStore::open(&self.0.path().join("views.db")).unwrap()
    }
}

streamio_core::view_store_contract!(FileBed::new());

#[tokio::test]
async fn what_is_on_its_way_is_found() {
    let store = FileBed::new().open().await;
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
