//! Checking a store, and rebuilding its index.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use streamio_local::s3::{
    CheckOptions, CheckReport, CompletedPart, IndexState, NewUpload, ObjectHeaders, ObjectVersion,
    Precondition, Store, StoreError, StoreOptions, VersionListRequest, Versioning, Watch, check_store,
};

use crate::server::RAW;

const REPAIR: CheckOptions = CheckOptions { repair: true, read_bytes: false };
const READ: CheckOptions = CheckOptions { repair: false, read_bytes: true };

async fn open(directory: &Path) -> Store {
    let options = StoreOptions { minimum_part_size: 1, ..StoreOptions::default() };
    let store = Store::open(directory, options).await.unwrap();
    store.ensure_bucket(RAW, Watch::Created).await.unwrap();
    store.set_versioning(RAW, Versioning::Enabled).await.unwrap();
    store
}

fn check(directory: &Path, options: CheckOptions) -> CheckReport {
    check_store(directory, options, |_, _| {}).unwrap()
}

/// All versions, with their metadata.
async fn versions(store: &Store) -> Vec<ObjectVersion> {
    let request = VersionListRequest { limit: 1_000, ..VersionListRequest::default() };
    store.list_versions(RAW, request).await.unwrap().versions
}

/// Two versions of an object with headers, a delete marker and an upload in two parts.
async fn fill(store: &Store) {
    let metadata = BTreeMap::from([("streamio-grant".to_owned(), "grt_1".to_owned())]);
    let headers = ObjectHeaders { metadata, ..ObjectHeaders::of_type("video/mp4") };
    for content in ["one", "two"] {
        store.put_bytes(RAW, "a/film.mp4", headers.clone(), content).await.unwrap();
    }
    store.put_bytes(RAW, "deleted", ObjectHeaders::default(), "three").await.unwrap();
    store.delete(RAW, "deleted", Precondition::None).await.unwrap();
    let upload = store.create_upload(RAW, "parts", NewUpload::default()).await.unwrap();
    let mut listed = Vec::new();
    for number in [1, 2] {
        let body = futures::stream::iter([Ok::<_, std::io::Error>(format!("part {number}").into())]);
        let staged = store.stage(body, None).await.unwrap();
        let etag = store.put_part(RAW, "parts", &upload.id, number, staged).await.unwrap().etag;
        listed.push(CompletedPart { number, etag, checksums: Vec::new() });
    }
    store.complete_upload(RAW, "parts", &upload.id, listed, None, None, Precondition::None).await.unwrap();
}

/// The only file of a blob with this content.
fn blob(directory: &Path, content: &str) -> PathBuf {
    let folders = std::fs::read_dir(directory.join("blobs")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut found =
        files.map(|file| file.unwrap().path()).filter(|it| std::fs::read(it).unwrap() == content.as_bytes());
    found.next().unwrap()
}

/// The manifests.
fn manifests(directory: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(directory.join("manifests")).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir());
    folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path()).collect()
}

#[tokio::test]
async fn a_missing_index_is_reported_and_rebuilt() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    let before = versions(&store).await;
    let last = before.iter().map(|version| version.sequencer.clone()).max().unwrap();
    for id in store.pending_notifications(9).await.unwrap().iter().map(|it| it.id) {
        store.acknowledge(id).await.unwrap();
    }
    store.close().await;
    std::fs::remove_file(directory.path().join("objects.db")).unwrap();

    for _ in ["first", "second"] {
        let report = check(directory.path(), CheckOptions::default());
        assert_eq!((report.index, report.faults.len()), (IndexState::Missing, 1), "{report:?}");
    }
    let report = check(directory.path(), REPAIR);
    assert_eq!((report.index, report.objects, report.faults), (IndexState::Rebuilt, 4, vec![]));
    let report = check(directory.path(), READ);
    assert_eq!((report.index, report.bytes, report.faults), (IndexState::Intact, 23, vec![]));

    let store = open(directory.path()).await;
    assert_eq!(versions(&store).await, before);
    let notified: Vec<String> =
        store.pending_notifications(9).await.unwrap().into_iter().map(|it| it.key).collect();
    assert_eq!(notified, ["a/film.mp4", "parts"], "they may not have been acknowledged");
    let next = store.put_bytes(RAW, "next", ObjectHeaders::default(), "new").await.unwrap();
    assert!(next.sequencer > last);
}

#[tokio::test]
async fn a_damaged_index_is_kept_and_rebuilt() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    let before = versions(&store).await;
    store.close().await;
    std::fs::write(
        directory.path().join("objects.db"),
        "this is no database, and long enough to be read as one".repeat(99),
    )
    .unwrap();
    assert_eq!(check(directory.path(), CheckOptions::default()).index, IndexState::Damaged);
    let report = check(directory.path(), REPAIR);
    assert_eq!((report.index, report.lost_and_found, report.faults), (IndexState::Rebuilt, 1, vec![]));
    assert_eq!(versions(&open(directory.path()).await).await, before);
}

#[tokio::test]
async fn lost_and_damaged_files_are_named_with_their_objects() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    store.close().await;
    std::fs::write(blob(directory.path(), "one"), "onE").unwrap();
    std::fs::write(blob(directory.path(), "two"), "tw").unwrap();
    std::fs::remove_file(blob(directory.path(), "part 2")).unwrap();
    let fast = check(directory.path(), CheckOptions::default());
    assert_eq!(fast.faults.len(), 2, "{fast:?}");
    let report = check(directory.path(), READ);
    let about = |key: &str, what: &str| {
        report
            .faults
            .iter()
            .filter(|it| it.starts_with(&format!("raw/{key}, version ")) && it.contains(what))
            .count()
    };
    assert_eq!(about("a/film.mp4", "has 2 bytes instead of 3"), 1, "{report:?}");
    assert_eq!(about("a/film.mp4", "its bytes have the entity tag"), 1, "{report:?}");
    assert_eq!(about("parts", "is missing"), 1, "{report:?}");

    // A rebuilt index names what is lost, too, so that a file that is restored later belongs to its object.
    std::fs::remove_file(directory.path().join("objects.db")).unwrap();
    for options in [REPAIR, CheckOptions::default()] {
        let rebuilt = check(directory.path(), options);
        assert_eq!((rebuilt.objects, rebuilt.faults.len()), (4, 2), "{rebuilt:?}");
    }
}

/// Before a length is promised.
#[tokio::test]
async fn an_object_whose_file_is_lost_or_shorter_cannot_be_opened() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for (key, content) in [("lost", "one"), ("short", "two"), ("whole", "three")] {
        store.put_bytes(RAW, key, ObjectHeaders::default(), content).await.unwrap();
    }
    std::fs::remove_file(blob(directory.path(), "one")).unwrap();
    std::fs::write(blob(directory.path(), "two"), "tw").unwrap();
    for key in ["lost", "short"] {
        let opened = store.get(RAW, key).await.err().unwrap();
        assert!(matches!(&opened, StoreError::Damaged { what } if what.contains(key)), "{opened}");
    }
    assert!(store.get(RAW, "whole").await.unwrap().is_some());
}

#[tokio::test]
async fn missing_and_wrong_manifests_are_found_and_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    store.close().await;
    let all = manifests(directory.path());
    assert_eq!(all.len(), 5, "one for each version and delete marker");
    std::fs::remove_file(&all[0]).unwrap();
    std::fs::write(&all[1], "{").unwrap();
    let report = check(directory.path(), CheckOptions::default());
    assert_eq!((report.index, report.faults.len()), (IndexState::Intact, 2), "{report:?}");
    let report = check(directory.path(), REPAIR);
    assert_eq!((report.repaired_manifests, report.faults), (2, vec![]));
    assert_eq!(check(directory.path(), READ).faults, [""; 0]);

    // A start writes what is missing, as after an update from a release without manifests.
    std::fs::remove_dir_all(directory.path().join("manifests")).unwrap();
    open(directory.path()).await.close().await;
    assert_eq!(manifests(directory.path()).len(), 5);
    assert_eq!(check(directory.path(), READ).faults, [""; 0]);
}

/// A file that was renamed and not synced may be empty after a power failure, or have only its first sectors.
#[tokio::test]
async fn a_start_writes_manifests_that_a_power_failure_damaged_and_removes_interrupted_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    store.close().await;
    let all = manifests(directory.path());
    std::fs::write(&all[0], "").unwrap();
    let whole = std::fs::read(&all[1]).unwrap();
    std::fs::write(&all[1], &whole[..whole.len() / 2]).unwrap();
    std::fs::write(all[2].with_extension("partial"), "{").unwrap();
    open(directory.path()).await.close().await;
    assert_eq!(check(directory.path(), READ).faults, [""; 0]);
    assert_eq!(std::fs::read(&all[1]).unwrap(), whole);
    assert_eq!(manifests(directory.path()).len(), all.len());
}

/// A renaming whose directory was not synced may be undone by a power failure.
#[tokio::test]
async fn a_start_replaces_the_manifest_of_a_replaced_object_that_a_power_failure_brought_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    store.ensure_bucket("processed", Watch::Off).await.unwrap();
    store.put_bytes("processed", "replaced", ObjectHeaders::default(), "first").await.unwrap();
    let manifest = manifest_of(directory.path(), "replaced");
    let first = std::fs::read(&manifest).unwrap();
    store.put_bytes("processed", "replaced", ObjectHeaders::default(), "second").await.unwrap();
    store.close().await;
    let second = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &first).unwrap();
    assert_eq!(check(directory.path(), READ).faults.len(), 1);
    open(directory.path()).await.close().await;
    assert_eq!(check(directory.path(), READ).faults, [""; 0]);
    assert!(second != first && std::fs::read(&manifest).unwrap() == second);
}

#[tokio::test]
async fn an_unreadable_manifest_loses_only_its_object() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    store.close().await;
    std::fs::remove_file(directory.path().join("objects.db")).unwrap();
    std::fs::write(&manifests(directory.path())[0], "{").unwrap();
    let report = check(directory.path(), REPAIR);
    assert_eq!((report.index, report.faults.len()), (IndexState::Rebuilt, 1), "{report:?}");
    assert!(report.faults[0].contains("is ignored"), "{report:?}");
}

/// The manifest of the first version of this key.
fn manifest_of(directory: &Path, key: &str) -> PathBuf {
    let names =
        |path: &PathBuf| std::fs::read_to_string(path).unwrap().contains(&format!("\"key\":\"{key}\""));
    manifests(directory).into_iter().find(names).unwrap()
}

#[tokio::test]
async fn a_manifest_that_was_changed_is_ignored_and_named() {
    for (from, to) in [
        ("\"key\":\"parts\"", "\"key\":\"other\""),
        ("\"bucket\":\"raw\"", "\"bucket\":\"war\""),
        ("\"size\":12", "\"size\":11"),
        ("\"blob\":\"", "\"blob\":\"../"),
        ("\"sequencer\":\"", "\"sequencer\":\"x"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await;
        fill(&store).await;
        store.close().await;
        std::fs::remove_file(directory.path().join("objects.db")).unwrap();
        let manifest = manifest_of(directory.path(), "parts");
        let text = std::fs::read_to_string(&manifest).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&manifest, text.replacen(from, to, 1)).unwrap();
        let report = check(directory.path(), REPAIR);
        assert_eq!(
            (report.index, report.objects, report.faults.len()),
            (IndexState::Rebuilt, 3, 1),
            "{report:?}"
        );
        assert!(report.faults[0].contains(&manifest.display().to_string()), "{report:?}");
        assert_eq!(report.unreferenced, 2, "{report:?}");
    }
}

#[tokio::test]
async fn an_index_that_is_older_than_the_files_is_not_used_and_is_rebuilt() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).await.close().await;
    let store = open(directory.path()).await;
    store.put_bytes(RAW, "before", ObjectHeaders::default(), "old").await.unwrap();
    store.close().await;
    let index = directory.path().join("objects.db");
    let older = std::fs::read(&index).unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    let before = versions(&store).await;
    store.close().await;
    std::fs::write(&index, older).unwrap();

    let opened = Store::open(directory.path(), StoreOptions::default()).await;
    assert!(matches!(opened, Err(StoreError::IndexOutdated { .. })), "{opened:?}");
    assert!(!directory.path().join("lost+found").exists());
    let report = check(directory.path(), CheckOptions::default());
    assert_eq!((report.index, report.faults.len()), (IndexState::Outdated, 1), "{report:?}");
    let report = check(directory.path(), REPAIR);
    assert_eq!((report.index, report.faults), (IndexState::Rebuilt, vec![]));
    assert_eq!(versions(&open(directory.path()).await).await, before);
}

#[tokio::test]
async fn without_manifests_a_lost_index_is_not_replaced_by_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    store.close().await;
    std::fs::remove_file(directory.path().join("objects.db")).unwrap();
    std::fs::remove_dir_all(directory.path().join("manifests")).unwrap();
    let report = check(directory.path(), REPAIR);
    assert_eq!(report.index, IndexState::Missing);
    assert!(report.faults[0].contains("there are no manifests"), "{report:?}");
    assert!(!directory.path().join("objects.db").exists());
}

#[tokio::test]
async fn a_row_that_contradicts_a_right_manifest_is_reported_and_the_manifest_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    let before = versions(&store).await;
    store.close().await;
    let database = rusqlite::Connection::open(directory.path().join("objects.db")).unwrap();
    let sql = "UPDATE segments SET blob = randomblob(16) WHERE object = (SELECT id FROM objects WHERE key = 'parts')";
    database.execute(sql, []).unwrap();
    drop(database);
    for options in [REPAIR, CheckOptions::default()] {
        let report = check(directory.path(), options);
        assert!(
            report.faults.iter().any(|it| it.contains("the index contradicts the manifest of raw/parts")),
            "{report:?}"
        );
    }
    std::fs::remove_file(directory.path().join("objects.db")).unwrap();
    assert_eq!(check(directory.path(), REPAIR).faults, [""; 0]);
    assert_eq!(versions(&open(directory.path()).await).await, before);
}

#[tokio::test]
async fn a_lost_part_of_an_upload_is_named_and_directories_among_the_manifests_are_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let upload = store.create_upload(RAW, "film", NewUpload::default()).await.unwrap();
    let body = futures::stream::iter([Ok::<_, std::io::Error>("part".into())]);
    let staged = store.stage(body, None).await.unwrap();
    store.put_part(RAW, "film", &upload.id, 3, staged).await.unwrap();
    store.close().await;
    std::fs::remove_file(blob(directory.path(), "part")).unwrap();
    std::fs::create_dir(directory.path().join("manifests/00/own")).unwrap();
    let report = check(directory.path(), CheckOptions::default());
    assert_eq!(report.faults.len(), 1, "{report:?}");
    assert!(report.faults[0].starts_with("part 3 of an upload to raw/film is lost"), "{report:?}");
    open(directory.path()).await.close().await;
}

#[tokio::test]
async fn deleted_versions_have_no_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    fill(&store).await;
    for version in versions(&store).await {
        store.delete_version(RAW, &version.key, &version.version_id, Precondition::None).await.unwrap();
    }
    assert!(manifests(directory.path()).is_empty());
}

#[tokio::test]
async fn a_store_that_is_in_use_is_not_checked() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let refused = check_store(directory.path(), REPAIR, |_, _| {});
    assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
    store.close().await;
    assert_eq!(check(directory.path(), REPAIR).index, IndexState::Intact);
}
