//! An object that is being read does not change until the reader is done.

use futures::StreamExt as _;
use md5::{Digest as _, Md5};

use streamio_local::s3::ObjectHeaders;

use crate::server::{RAW, S3TestServer, pattern};

#[tokio::test]
async fn a_reader_reads_the_version_it_opened_while_it_is_overwritten_and_deleted() {
    let server = S3TestServer::start().await;
    let old = pattern(3_000_000, 1);
    server.put("k", old.clone()).await;
    let mut body = server.client.get_object().bucket(RAW).key("k").send().await.unwrap().body;
    let mut received = body.next().await.unwrap().unwrap().to_vec();
    server.put("k", pattern(10, 2)).await;
    server.client.delete_object().bucket(RAW).key("k").send().await.unwrap();
    while let Some(bytes) = body.next().await {
        received.extend(bytes.unwrap());
    }
    assert!(received == old);
}

#[tokio::test]
async fn the_bytes_of_a_deleted_object_are_removed_with_its_last_reader() {
    let server = S3TestServer::start().await;
    server.put("k", pattern(3_000_000, 1)).await;
    let object = server.store.get(RAW, "k").await.unwrap().unwrap();
    let mut one = object.stream(0..1_000_000);
    let other = object.stream(2_000_000..3_000_000);
    drop(object);
    server.client.delete_object().bucket(RAW).key("k").send().await.unwrap();
    assert_eq!(server.files().len(), 1);
    drop(other);
    assert_eq!(server.files().len(), 1);
    assert_eq!(one.remaining(), 1_000_000);
    let mut received = Vec::new();
    while let Some(bytes) = one.next().await {
        received.extend(bytes.unwrap());
    }
    assert!(received == pattern(3_000_000, 1)[..1_000_000]);
    drop(one);
    assert_eq!(server.files(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_concurrent_with_writers_read_complete_objects() {
    let server = S3TestServer::start().await;
    server.put("k", pattern(600_000, 0)).await;
    let writers = (0..2).map(|writer| {
        let store = server.store.clone();
        tokio::spawn(async move {
            for round in 0..20 {
                let body = pattern(600_000, writer * 1000 + round);
                store.put_bytes(RAW, "k", ObjectHeaders::default(), body).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..4).map(|_| {
        let store = server.store.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let object = store.get(RAW, "k").await.unwrap().unwrap();
                let mut stream = object.stream(0..600_000);
                let mut received = Vec::new();
                while let Some(bytes) = stream.next().await {
                    received.extend(bytes.unwrap());
                }
                let digest = data_encoding::HEXLOWER.encode(&Md5::digest(&received));
                assert_eq!(digest, object.meta().etag);
            }
        })
    });
    for task in readers.collect::<Vec<_>>().into_iter().chain(writers) {
        task.await.unwrap();
    }
    assert_eq!(server.files().len(), 1);
}
