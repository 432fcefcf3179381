//! A store that an earlier version of the software wrote.

use std::path::Path;

use futures::StreamExt as _;
use rusqlite::Connection;
use streamio_local::s3::{NULL_VERSION, Precondition, Store, StoreOptions, Versioning, Watch};

use crate::server::{RAW, files};

/// The tables of version 1, before objects had versions.
const VERSION_1: &str = "
CREATE TABLE buckets (name TEXT PRIMARY KEY, created_at INTEGER NOT NULL, watched INTEGER NOT NULL) STRICT;
CREATE TABLE objects (
    id INTEGER PRIMARY KEY, bucket TEXT NOT NULL REFERENCES buckets (name), key TEXT NOT NULL, etag TEXT NOT NULL,
    size INTEGER NOT NULL, last_modified INTEGER NOT NULL, sequencer TEXT NOT NULL, headers TEXT NOT NULL,
    checksum TEXT, parts INTEGER, upload TEXT, UNIQUE (bucket, key)
) STRICT;
CREATE TABLE segments (
    object INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE, position INTEGER NOT NULL,
    blob BLOB NOT NULL, length INTEGER NOT NULL, PRIMARY KEY (object, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX segments_by_blob ON segments (blob);
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL REFERENCES buckets (name), key TEXT NOT NULL,
    initiated_at INTEGER NOT NULL, headers TEXT NOT NULL, algorithm TEXT, kind TEXT
) STRICT;
CREATE INDEX uploads_by_key ON uploads (bucket, key, id);
CREATE TABLE parts (
    upload TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE, number INTEGER NOT NULL, blob BLOB NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, algorithm TEXT, checksum TEXT, last_modified INTEGER NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX parts_by_blob ON parts (blob);
CREATE TABLE sequence (value INTEGER NOT NULL) STRICT;
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, sequencer TEXT NOT NULL, content_type TEXT, event_name TEXT NOT NULL,
    event_time INTEGER NOT NULL
) STRICT;
INSERT INTO sequence VALUES (2);
INSERT INTO buckets VALUES ('raw', 1000, 1);
INSERT INTO objects VALUES
    (7, 'raw', 'film', 'e1', 4, 1000, '0000000000000001', '{\"content_type\":\"video/mp4\"}', NULL, 2, 'u1'),
    (8, 'raw', 'other', 'e2', 2, 2000, '0000000000000002', '{}', NULL, NULL, NULL);
INSERT INTO segments VALUES (7, 0, x'00000000000000000000000000000001', 2), (7, 1, x'00000000000000000000000000000002', 2),
    (8, 0, x'00000000000000000000000000000001', 2);
INSERT INTO uploads VALUES ('u2', 'raw', 'unfinished', 3000, '{}', NULL, NULL);
INSERT INTO parts VALUES ('u2', 1, x'00000000000000000000000000000003', 4, 'e3', NULL, NULL, 3000);
INSERT INTO notices VALUES (5, 'raw', 'film', 4, 'e1', '0000000000000001', 'video/mp4', 's3:ObjectCreated:Put', 1000);
PRAGMA user_version = 1;
";

fn write_version_1(directory: &Path) {
    std::fs::create_dir_all(directory.join("blobs/00")).unwrap();
    for (name, bytes) in [("01", "fi"), ("02", "lm"), ("03", "part")] {
        std::fs::write(directory.join(format!("blobs/00/{}{name}", "0".repeat(30))), bytes).unwrap();
    }
    Connection::open(directory.join("objects.db")).unwrap().execute_batch(VERSION_1).unwrap();
}

async fn read(store: &Store, key: &str, version_id: &str) -> String {
    let object = store.get_version(RAW, key, version_id).await.unwrap().unwrap();
    let pieces: Vec<_> = object.stream(0..u64::MAX).map(Result::unwrap).collect().await;
    String::from_utf8(pieces.concat()).unwrap()
}

#[tokio::test]
async fn the_objects_of_an_existing_directory_become_null_versions_and_stay_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    write_version_1(directory.path());
    for _ in 0..2 {
        let store = Store::open(directory.path(), StoreOptions::default()).await.unwrap();
        store.ensure_bucket(RAW, Watch::Created).await.unwrap();
        let bucket = store.bucket(RAW).await.unwrap().unwrap();
        assert_eq!((bucket.watch, bucket.versioning), (Watch::Created, Versioning::Off));
        let film = store.head(RAW, "film").await.unwrap().unwrap();
        assert_eq!((film.size, film.parts, film.version_id.as_deref()), (4, Some(2), None));
        assert_eq!(film.headers.content_type.as_deref(), Some("video/mp4"));
        assert_eq!(read(&store, "film", NULL_VERSION).await, "film");
        assert_eq!(store.parts(RAW, "unfinished", "u2", 0, 10).await.unwrap().len(), 1);
        assert_eq!(store.pending_notifications(10).await.unwrap()[0].version_id, None);
        assert_eq!(files(directory.path()).len(), 3);
    }

    let store = Store::open(directory.path(), StoreOptions::default()).await.unwrap();
    store.set_versioning(RAW, Versioning::Enabled).await.unwrap();
    let newer =
        store.put_bytes(RAW, "film", streamio_local::s3::ObjectHeaders::default(), "new").await.unwrap();
    assert!(newer.sequencer.as_str() > "0000000000000002");
    let versions = store.versions(RAW, "film").await.unwrap();
    let ids: Vec<_> = versions.iter().map(|version| Some(version.version_id.as_str())).collect();
    assert_eq!(ids, [newer.version_id.as_deref(), Some(NULL_VERSION)]);
    assert_eq!(read(&store, "film", NULL_VERSION).await, "film");
    let pending = store.pending_notifications(10).await.unwrap();
    assert_eq!((pending[0].id, pending[0].version_id.as_deref()), (5, Some(NULL_VERSION)));
    store.delete_version(RAW, "film", NULL_VERSION, Precondition::None).await.unwrap();
    assert_eq!(read(&store, "other", NULL_VERSION).await, "fi", "a shared blob stays");
    assert_eq!(files(directory.path()).len(), 3, "01 of the other object, 03 of the part, and the new one");
}

#[tokio::test]
async fn a_migrated_store_has_the_tables_of_a_new_one() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_version_1(old.path());
    let columns = async |directory: &Path| {
        drop(Store::open(directory, StoreOptions::default()).await.unwrap());
        let db = Connection::open(directory.join("objects.db")).unwrap();
        let mut statement = db
            .prepare(
                "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk
                 FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'
                 UNION SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema
                 WHERE type = 'index'",
            )
            .unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let (migrated, created) = (columns(old.path()).await, columns(new.path()).await);
    assert!(created.iter().any(|line| line.starts_with("objects.version_id")), "{created:?}");
    assert_eq!(migrated, created);
}
