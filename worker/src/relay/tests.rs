use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use http_body_util::BodyExt;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::storage::{Condition, Content, Location, ObjectHeaders, ObjectInfo, WholeObjectStore};

/// Storage with one object of slightly more than 5 MiB, whose bytes are a function of their position.
struct PatternStore {
    reads: Mutex<Vec<Range<u64>>>,
    versions: Mutex<Vec<String>>,
    fails_from: u64,
}

const SIZE: u64 = 5 * 1024 * 1024 + 17;

fn pattern(range: Range<u64>) -> Vec<u8> {
    range.map(|position| (position % 251) as u8).collect()
}

#[async_trait]
impl WholeObjectStore for PatternStore {
    async fn head(&self, _: &Location) -> Result<Option<ObjectInfo>, StorageError> {
        Ok(None)
    }

    async fn read(&self, _: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        assert_eq!(etag, "\"pinned\"");
        assert!(range.end <= SIZE);
        if range.start >= self.fails_from {
            return Err(StorageError::NotFound { operation: "GetObject" });
        }
        self.reads.lock().unwrap().push(range.clone());
        Ok(pattern(range).into())
    }

    async fn head_version(&self, _: &Location, _: &str) -> Result<Option<ObjectInfo>, StorageError> {
        Ok(None)
    }

    async fn read_version(
        &self,
        _: &Location,
        version_id: &str,
        range: Range<u64>,
    ) -> Result<Bytes, StorageError> {
        self.versions.lock().unwrap().push(version_id.to_owned());
        Ok(pattern(range).into())
    }

    async fn put(
        &self,
        _: &Location,
        _: Content,
        _: ObjectHeaders,
        _: Condition,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    async fn list(&self, _: &str, _: &str) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _: &str, _: &[String]) -> Result<(), StorageError> {
        Ok(())
    }

    async fn delete_if(&self, _: &Location, _: &str) -> Result<(), StorageError> {
        Ok(())
    }
}

fn source(fails_from: u64) -> (Arc<PatternStore>, Arc<Source>) {
    let store = Arc::new(PatternStore { reads: Mutex::default(), versions: Mutex::default(), fails_from });
    let location = Location { bucket: "raw".into(), key: "key".into() };
    let info = ObjectInfo { bytes: SIZE, etag: "\"pinned\"".into() };
    (Arc::clone(&store), Arc::new(Source::new(store, location, info)))
}

async fn read_all(source: Arc<Source>, range: Range<u64>) -> Result<Bytes, Arc<StorageError>> {
    Ok(BodyExt::collect(StreamBody::new(read(source, range))).await?.to_bytes())
}

async fn exchange(relay: &Relay, request: &str) -> String {
    let address = relay.input().url().strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    // The relay closes the connection if it fails within a body.
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test]
async fn the_version_that_a_job_names_is_read_whatever_is_stored_since() {
    let (store, _) = source(0);
    let location = Location { bucket: "raw".into(), key: "key".into() };
    let info = ObjectInfo { bytes: SIZE, etag: "\"pinned\"".into() };
    let versioned = Source::new(Arc::clone(&store) as _, location, info).of_version(Some("v1".to_owned()));
    assert_eq!(read_all(Arc::new(versioned), 0..SIZE).await.unwrap(), pattern(0..SIZE));
    assert_eq!(*store.versions.lock().unwrap(), ["v1"; 3]);
    assert!(store.reads.lock().unwrap().is_empty(), "no request is for the latest object");
}

#[tokio::test]
async fn every_block_is_fetched_once_even_if_it_is_read_often() {
    let (store, source) = source(u64::MAX);
    for _ in 0..3 {
        assert_eq!(read_all(Arc::clone(&source), 0..SIZE).await.unwrap(), pattern(0..SIZE));
    }
    let mut reads = store.reads.lock().unwrap().clone();
    reads.sort_by_key(|range| range.start);
    assert_eq!(reads, [0..2_097_152, 2_097_152..4_194_304, 4_194_304..SIZE]);
}

#[tokio::test]
async fn a_storage_failure_is_kept_and_ends_the_body() {
    let (_, source) = source(4_194_304);
    assert!(read_all(Arc::clone(&source), 0..1000).await.is_ok());
    assert!(source.failure().is_none(), "a failed read-ahead alone is not a failure");
    assert!(read_all(Arc::clone(&source), 0..SIZE).await.is_err());
    assert!(matches!(&*source.failure().unwrap(), StorageError::NotFound { .. }));
}

/// Lets this process read from `relay`.
fn admit_self(relay: &Relay) -> Admission {
    let group = rustix::process::getpgrp().as_raw_nonzero().get().unsigned_abs();
    relay.input().admit(|| Ok((Some(group), ()))).unwrap().1.unwrap()
}

#[tokio::test]
async fn a_process_that_knows_the_url_but_was_not_started_for_the_source_gets_nothing() {
    let (store, source) = source(u64::MAX);
    let relay = Relay::start(source).await.unwrap();
    let path = relay.input().url().rsplit('/').next().unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes=1-3\r\n\r\n");
    assert!(exchange(&relay, &request).await.starts_with("HTTP/1.1 403"));
    assert!(store.reads.lock().unwrap().is_empty());
    let admission = admit_self(&relay);
    assert!(exchange(&relay, &request).await.starts_with("HTTP/1.1 206"));
    drop(admission);
    assert!(exchange(&relay, &request).await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn only_the_secret_path_is_served() {
    let (_, source) = source(u64::MAX);
    let relay = Relay::start(source).await.unwrap();
    let _admission = admit_self(&relay);
    let path = relay.input().url().rsplit('/').next().unwrap();
    let get =
        |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
    assert!(exchange(&relay, &get("/", "")).await.starts_with("HTTP/1.1 404"));
    assert!(exchange(&relay, &get("/source", "")).await.starts_with("HTTP/1.1 404"));
    let response = exchange(&relay, &get(&format!("/{path}"), "Range: bytes=1-3\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 206"), "{response}");
    assert!(
        response.contains(&format!("content-range: bytes 1-3/{SIZE}\r\n"))
            && response.ends_with("\x01\x02\x03")
    );
    let response = exchange(&relay, &get(&format!("/{path}"), &format!("Range: bytes={SIZE}-\r\n"))).await;
    assert!(
        response.starts_with("HTTP/1.1 416")
            && response.contains(&format!("content-range: bytes */{SIZE}\r\n"))
    );
}

#[tokio::test]
async fn dropping_the_relay_closes_its_port() {
    let (_, source) = source(u64::MAX);
    let relay = Relay::start(source).await.unwrap();
    let address = relay.input().url().strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    assert!(TcpStream::connect(&address).await.is_ok());
    drop(relay);
    let started_at = std::time::Instant::now();
    while TcpStream::connect(&address).await.is_ok() {
        assert!(started_at.elapsed() < std::time::Duration::from_secs(30), "the port is still open");
        tokio::task::yield_now().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn reading_any_range_returns_exactly_its_bytes(start in 0..SIZE, length in 1..SIZE) {
        let range = start..(start + length).min(SIZE);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_, source) = source(u64::MAX);
        let bytes = runtime.block_on(read_all(source, range.clone())).unwrap();
        prop_assert_eq!(bytes, pattern(range));
    }
}
