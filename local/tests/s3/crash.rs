//! After a crash every acknowledged write is complete, and no other write is partially visible.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures::StreamExt as _;
use streamio_local::s3::{
    CompletedPart, ListRequest, NewUpload, ObjectHeaders, Precondition, Store, StoreError, StoreOptions,
    Watch,
};

use crate::server::{RAW, files, pattern};

async fn open(directory: &Path) -> Store {
    let store = Store::open(directory, StoreOptions { minimum_part_size: 1 }).await.unwrap();
    store.ensure_bucket(RAW, Watch::Created).await.unwrap();
    store
}

async fn read(store: &Store, key: &str) -> Vec<u8> {
    let object = store.get(RAW, key).await.unwrap().unwrap();
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
    assert_eq!(files(directory.path()).len(), 2, "the two orphans are removed, object and part are kept");
    assert_eq!(store.head(RAW, "k").await.unwrap().unwrap(), first);
    assert!(read(&store, "k").await == pattern(300_000, 1));
    assert_eq!(store.parts(RAW, "parts", &upload.id, 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.pending_notifications(10).await.unwrap(), notifications);
    let next = store.put_bytes(RAW, "k", ObjectHeaders::default(), "new").await.unwrap();
    assert!(next.sequencer > first.sequencer);
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

/// Repeatedly writes, overwrites and completes an upload. Prints a line for each acknowledged round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the writer process of `acknowledged_writes_survive_a_killed_process`"]
async fn writer_process_that_runs_until_it_is_killed() {
    let directory = std::env::var(DIRECTORY).expect("must be run by its parent test");
    let store = open(Path::new(&directory)).await;
    let writer = |name: &'static str| {
        let store = store.clone();
        async move {
            for round in 0_u64.. {
                let bytes = pattern(usize::try_from(1000 + (round * 7919) % 60_000).unwrap(), round);
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
                println!("acknowledged {name} {round}");
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

#[tokio::test]
async fn acknowledged_writes_survive_a_killed_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    for lines in [1, 7, 40] {
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
            // The test harness may print before it on the same line.
            if let Some((_, rest)) = line.split_once("acknowledged ") {
                let (name, round) = rest.split_once(' ').unwrap();
                acknowledged.push((name.to_owned(), round.parse().unwrap()));
            }
        }
        writer.kill();
        for line in output.map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("acknowledged ") {
                let (name, round) = rest.split_once(' ').unwrap();
                acknowledged.push((name.to_owned(), round.parse().unwrap()));
            }
        }

        let store = open(inner.path()).await;
        let notifications = store.pending_notifications(u32::MAX).await.unwrap();
        for (name, round) in &acknowledged {
            let key = format!("{name}/{round}");
            let length = usize::try_from(1000 + (round * 7919) % 60_000).unwrap();
            assert!(read(&store, &key).await == pattern(length, *round), "{key}");
            assert_eq!(
                notifications.iter().filter(|notification| notification.key == key).count(),
                2,
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
        assert_eq!(files(inner.path()).len(), listed.len() + parts, "no unreferenced file");
    }
}
