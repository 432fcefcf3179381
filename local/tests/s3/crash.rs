//! After a crash every acknowledged write is complete, and no other write is partially visible.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures::StreamExt as _;
use streamio_local::s3::{
    CheckOptions, CompletedPart, IndexState, ListRequest, NewUpload, Object, ObjectHeaders, Precondition,
    Store, StoreError, StoreOptions, VersionListRequest, Versioning, Watch, check_store,
};

use crate::server::{RAW, files, pattern};
use crate::versioned_server::VERSIONED;

async fn open(directory: &Path) -> Store {
    let store = Store::open(directory, StoreOptions { minimum_part_size: 1, ..StoreOptions::default() })
        .await
        .unwrap();
    store.ensure_bucket(RAW, Watch::Created).await.unwrap();
    store.ensure_bucket(VERSIONED, Watch::Off).await.unwrap();
    store.set_versioning(VERSIONED, Versioning::Enabled).await.unwrap();
    store
}

async fn read(store: &Store, key: &str) -> Vec<u8> {
    bytes_of(store.get(RAW, key).await.unwrap().unwrap()).await
}

/// The contents of all files in `lost+found`, sorted.
fn lost_and_found(store: &Path) -> Vec<String> {
    let Ok(days) = std::fs::read_dir(store.join("lost+found")) else { return Vec::new() };
    let files = days.flat_map(|day| std::fs::read_dir(day.unwrap().path()).unwrap());
    let contents =
        files.map(|file| String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned());
    let mut contents: Vec<String> = contents.collect();
    contents.sort();
    contents
}

async fn bytes_of(object: Object) -> Vec<u8> {
    let mut stream = object.stream(0..u64::MAX);
    let mut bytes = Vec::new();
    while let Some(read) = stream.next().await {
        bytes.extend(read.unwrap());
    }
    bytes
}

#[tokio::test]
async fn a_reopened_store_has_its_objects_uploads_and_event_notifications_and_no_orphans() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let first = store.put_bytes(RAW, "k", ObjectHeaders::default(), pattern(300_000, 1)).await.unwrap();
    let upload = store.create_upload(RAW, "parts", NewUpload::default()).await.unwrap();
    let staged =
        store.stage(futures::stream::iter([Ok::<_, std::io::Error>("part".into())]), None).await.unwrap();
    store.put_part(RAW, "parts", &upload.id, 1, staged).await.unwrap();
    let notifications = store.pending_notifications(10).await.unwrap();
    // The files that are left by a crash before the commit, and by a crash while receiving a body.
    let staged =
        store.stage(futures::stream::iter([Ok::<_, std::io::Error>("lost".into())]), None).await.unwrap();
    std::mem::forget(staged);
    std::fs::write(directory.path().join("incoming/half"), "received").unwrap();
    assert_eq!(files(directory.path()).len(), 4);
    drop(store);

    let store = open(directory.path()).await;
    assert_eq!(files(directory.path()).len(), 2, "the object and the part");
    assert_eq!(lost_and_found(directory.path()), ["lost", "received"], "bytes are never removed at a start");
    assert_eq!(store.head(RAW, "k").await.unwrap().unwrap(), first);
    assert!(read(&store, "k").await == pattern(300_000, 1));
    assert_eq!(store.parts(RAW, "parts", &upload.id, 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.pending_notifications(10).await.unwrap(), notifications);
    let next = store.put_bytes(RAW, "k", ObjectHeaders::default(), "new").await.unwrap();
    assert!(next.sequencer > first.sequencer);
}

/// Removes the index and its write-ahead log.
fn remove_index(store: &Path) {
    for name in ["objects.db", "objects.db-wal", "objects.db-shm"] {
        drop(std::fs::remove_file(store.join(name)));
    }
}

#[tokio::test]
async fn a_store_without_its_index_or_with_a_new_one_does_not_start_and_changes_nothing() {
    let (directory, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(new.path()).await);
    let store = open(directory.path()).await;
    store.put_bytes(RAW, "k", ObjectHeaders::default(), pattern(1_000, 1)).await.unwrap();
    drop(store);
    let (before, index) = (files(directory.path()), directory.path().join("objects.db"));
    let kept = std::fs::read(&index).unwrap();
    for replacement in [None, Some(std::fs::read(new.path().join("objects.db")).unwrap())] {
        remove_index(directory.path());
        replacement.inspect(|bytes| std::fs::write(&index, bytes).unwrap());
        let opened = Store::open(directory.path(), StoreOptions::default()).await;
        assert!(matches!(opened, Err(StoreError::IndexMissing { .. })), "{opened:?}");
        assert_eq!((files(directory.path()), lost_and_found(directory.path())), (before.clone(), vec![]));
    }
    remove_index(directory.path());
    std::fs::write(&index, kept).unwrap();
    assert!(read(&open(directory.path()).await, "k").await == pattern(1_000, 1));
}

/// The power fails during the first uploads: their files are stored, and the index does not know them. A manifest that was not synced may
/// be empty.
#[tokio::test]
async fn a_store_whose_first_uploads_were_interrupted_starts_and_keeps_their_bytes() {
    for manifest in [None, Some("")] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await;
        let staged = store
            .stage(futures::stream::iter([Ok::<_, std::io::Error>("first".into())]), None)
            .await
            .unwrap();
        std::mem::forget(staged);
        drop(store);
        if let Some(content) = manifest {
            std::fs::write(directory.path().join("manifests/08/0800000000000000.json"), content).unwrap();
        }
        let store = open(directory.path()).await;
        assert_eq!(store.head(RAW, "k").await.unwrap(), None);
        assert!(lost_and_found(directory.path()).contains(&"first".to_owned()));
        store.put_bytes(RAW, "k", ObjectHeaders::default(), "second").await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_index_does_not_start_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for key in 0..200 {
        store.put_bytes(RAW, &format!("k{key}"), ObjectHeaders::default(), "x").await.unwrap();
    }
    drop(store);
    let (before, index) = (files(directory.path()), directory.path().join("objects.db"));
    let mut bytes = std::fs::read(&index).unwrap();
    for page in bytes.chunks_mut(4096).skip(2).step_by(2) {
        page[..64].fill(0xff);
    }
    std::fs::write(&index, bytes).unwrap();
    let opened = Store::open(directory.path(), StoreOptions::default()).await;
    assert!(matches!(opened, Err(StoreError::IndexDamaged { .. })), "{opened:?}");
    assert_eq!((files(directory.path()), lost_and_found(directory.path())), (before, vec![]));
}

/// SQLite ignores the write-ahead log from its first damaged frame on, so that acknowledged writes are missing in the index.
#[tokio::test]
async fn the_bytes_of_objects_that_an_older_or_damaged_index_lacks_are_kept() {
    for is_damaged in [false, true] {
        let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = open(directory.path()).await;
        store.put_bytes(RAW, "first", ObjectHeaders::default(), "first").await.unwrap();
        drop(store);
        let older = std::fs::read(directory.path().join("objects.db")).unwrap();
        let store = open(directory.path()).await;
        store.put_bytes(RAW, "second", ObjectHeaders::default(), "second").await.unwrap();
        // As after a crash: the log is not yet in the database.
        let log = std::fs::read(directory.path().join("objects.db-wal")).unwrap();
        let index = std::fs::read(directory.path().join("objects.db")).unwrap();
        for name in files(directory.path()) {
            let place = copy.path().join("blobs").join(&name[..2]);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::copy(directory.path().join("blobs").join(&name[..2]).join(&name), place.join(&name))
                .unwrap();
        }
        drop(store);
        if is_damaged {
            let mut log = log;
            // In the first frame: after the log's header of 32 bytes and the frame's of 24.
            log[100] ^= 1;
            std::fs::write(copy.path().join("objects.db-wal"), log).unwrap();
            std::fs::write(copy.path().join("objects.db"), index).unwrap();
        } else {
            std::fs::write(copy.path().join("objects.db"), older).unwrap();
        }
        let store = open(copy.path()).await;
        assert_eq!(store.head(RAW, "second").await.unwrap(), None);
        assert_eq!(
            (read(&store, "first").await, lost_and_found(copy.path())),
            (b"first".to_vec(), vec!["second".to_owned()])
        );
    }
}

#[tokio::test]
async fn a_store_can_be_open_only_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let again = Store::open(directory.path(), StoreOptions::default()).await;
    assert!(matches!(again, Err(StoreError::InUse { .. })), "{again:?}");
    let clone = store.clone();
    drop(store);
    let again = Store::open(directory.path(), StoreOptions::default()).await;
    assert!(matches!(again, Err(StoreError::InUse { .. })));
    drop(clone);
    open(directory.path()).await;
}

const DIRECTORY: &str = "STREAMIO_TEST_CRASH_DIRECTORY";

/// Repeatedly writes, overwrites and completes an upload, and adds, removes and marks versions of one key. Prints a line
/// for each acknowledged round, with the version that it added.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the writer process of `acknowledged_writes_survive_a_killed_process`"]
async fn writer_process_that_runs_until_it_is_killed() {
    let directory = std::env::var(DIRECTORY).expect("must be run by its parent test");
    let store = open(Path::new(&directory)).await;
    let writer = |name: &'static str| {
        let store = store.clone();
        async move {
            let mut before: Option<String> = None;
            for round in 0_u64.. {
                let bytes = pattern(round_length(round), round);
                let key = format!("{name}/{round}");
                store.put_bytes(RAW, &key, ObjectHeaders::default(), bytes.clone()).await.unwrap();
                store.put_bytes(RAW, "overwritten", ObjectHeaders::default(), bytes.clone()).await.unwrap();
                let upload = store.create_upload(RAW, &key, NewUpload::default()).await.unwrap();
                let body = futures::stream::iter([Ok::<_, std::io::Error>(bytes.into())]);
                let staged = store.stage(body, None).await.unwrap();
                let part = store.put_part(RAW, &key, &upload.id, 1, staged).await.unwrap();
                let part = CompletedPart { number: 1, etag: part.etag, checksums: Vec::new() };
                let none = Precondition::None;
                store.complete_upload(RAW, &key, &upload.id, vec![part], None, None, none).await.unwrap();
                let bytes = pattern(round_length(round), round);
                let put = store.put_bytes(VERSIONED, name, ObjectHeaders::default(), bytes).await.unwrap();
                let version = put.version_id.unwrap();
                if let Some(before) = before.take().filter(|_| round % 2 == 1) {
                    store.delete_version(VERSIONED, name, &before, Precondition::None).await.unwrap();
                    store.delete(VERSIONED, name, Precondition::None).await.unwrap();
                }
                println!("acknowledged {name} {round} {version}");
                before = Some(version);
            }
        }
    };
    tokio::join!(writer("one"), writer("two"));
}

/// The process that runs [`writer_process_that_runs_until_it_is_killed`]. Every test must kill it: dropping it while it
/// is running fails the test.
struct WriterProcess(Child);

impl WriterProcess {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for WriterProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(self.0.kill());
            drop(self.0.wait());
        } else {
            assert!(self.0.try_wait().unwrap().is_some(), "the writer process is still running");
        }
    }
}

/// A round of the writer process.
struct Acknowledged {
    name: String,
    round: u64,
    version: String,
}

impl Acknowledged {
    fn parse(line: &str) -> Option<Self> {
        // The test harness may print before it on the same line.
        let (_, rest) = line.split_once("acknowledged ")?;
        let mut words = rest.split(' ').map(str::to_owned);
        let (name, round, version) = (words.next()?, words.next()?, words.next()?);
        Some(Self { name, round: round.parse().unwrap(), version })
    }
}

/// The length of what a round writes.
fn round_length(round: u64) -> usize {
    usize::try_from(1000 + (round * 7919) % 60_000).unwrap()
}

/// The versions of odd rounds stay, those of even rounds are removed by the round after, which also adds a delete marker.
async fn check_versions(store: &Store, acknowledged: &[Acknowledged]) {
    for Acknowledged { name, round, version } in acknowledged {
        let found = store.get_version(VERSIONED, name, version).await.unwrap();
        let next = acknowledged.iter().any(|it| it.name == *name && it.round == round + 1);
        match found {
            Some(object) => {
                assert!(bytes_of(object).await == pattern(round_length(*round), *round), "{name} {round}");
                assert!(round % 2 == 1 || !next, "{name} {round} was removed");
            }
            None => assert!(round.is_multiple_of(2), "{name} {round} was lost"),
        }
    }
    for name in ["one", "two"] {
        let versions = store.versions(VERSIONED, name).await.unwrap();
        let odd = acknowledged.iter().filter(|it| it.name == name && it.round % 2 == 1).count();
        let markers = versions.iter().filter(|version| version.is_delete_marker()).count();
        assert!((odd..=odd + 1).contains(&markers), "{markers} delete markers of {odd} rounds of {name}");
        assert!(versions.iter().enumerate().all(|(place, version)| version.is_latest == (place == 0)));
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_a_killed_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    for (lines, loses_index) in [(1, false), (7, false), (40, false), (40, true)] {
        let inner = tempfile::tempdir_in(directory.path()).unwrap();
        acknowledged.clear();
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::writer_process_that_runs_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(DIRECTORY, inner.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut writer = WriterProcess(child);
        let mut output = BufReader::new(writer.0.stdout.take().unwrap()).lines();
        while acknowledged.len() < lines {
            let line = output.next().expect("the process writes until it is killed").unwrap();
            acknowledged.extend(Acknowledged::parse(&line));
        }
        writer.kill();
        for line in output.map_while(Result::ok) {
            acknowledged.extend(Acknowledged::parse(&line));
        }

        if loses_index {
            remove_index(inner.path());
            let repair = CheckOptions { repair: true, read_bytes: true };
            let report = check_store(inner.path(), repair, |_, _| {}).unwrap();
            assert_eq!((report.index, report.faults), (IndexState::Rebuilt, vec![]));
        }
        let store = open(inner.path()).await;
        let notifications = store.pending_notifications(u32::MAX).await.unwrap();
        check_versions(&store, &acknowledged).await;
        for Acknowledged { name, round, .. } in &acknowledged {
            let key = format!("{name}/{round}");
            let length = round_length(*round);
            assert!(read(&store, &key).await == pattern(length, *round), "{key}");
            assert_eq!(
                notifications.iter().filter(|notification| notification.key == key).count(),
                // A rebuilt index has one for each current object.
                if loses_index { 1 } else { 2 },
                "{key}"
            );
        }
        let request = ListRequest { limit: 100_000, ..ListRequest::default() };
        let listed = store.list(RAW, request).await.unwrap().objects;
        for meta in &listed {
            use md5::Digest as _;
            let bytes = read(&store, &meta.key).await;
            assert_eq!(bytes.len() as u64, meta.size);
            let md5 = md5::Md5::digest(&bytes);
            let of_parts = format!("{}-1", data_encoding::HEXLOWER.encode(&md5::Md5::digest(md5)));
            assert!(
                meta.etag == data_encoding::HEXLOWER.encode(&md5) || meta.etag == of_parts,
                "{}",
                meta.key
            );
        }
        let mut parts = 0;
        for upload in store.uploads(RAW, "", None, 100).await.unwrap() {
            parts += store.parts(RAW, &upload.key, &upload.id, 0, 100).await.unwrap().len();
        }
        let request = VersionListRequest { limit: 100_000, ..VersionListRequest::default() };
        let versions = store.list_versions(VERSIONED, request).await.unwrap().versions;
        let versions = versions.iter().filter(|version| !version.is_delete_marker()).count();
        assert_eq!(files(inner.path()).len(), listed.len() + parts + versions, "no unreferenced file");
    }
}
