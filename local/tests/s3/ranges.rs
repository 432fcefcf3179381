//! Range reads and conditional reads.

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use proptest::prelude::*;
use streamio_local::s3::{CompletedPart, NewUpload, Precondition, Store};

use crate::raw::RawRequest;
use crate::server::{RAW, S3TestServer, pattern, refusal};
use crate::signer::{Signer, path};

#[tokio::test]
async fn ranges_follow_rfc_9110() {
    let server = S3TestServer::start().await;
    server.put("k", b"0123456789".to_vec()).await;
    for (range, body, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=5-", "56789", "bytes 5-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
        ("bytes=0-", "0123456789", "bytes 0-9/10"),
    ] {
        let got = server.client.get_object().bucket(RAW).key("k").range(range).send().await.unwrap();
        assert_eq!(got.content_range(), Some(content_range), "{range}");
        assert_eq!(got.content_length(), i64::try_from(body.len()).ok(), "{range}");
        assert_eq!(got.body.collect().await.unwrap().to_vec(), body.as_bytes(), "{range}");
    }
}

#[tokio::test]
async fn a_range_beyond_the_object_is_not_satisfiable_and_the_response_has_its_size() {
    let server = S3TestServer::start().await;
    server.put("k", b"0123456789".to_vec()).await;
    server.put("empty", Vec::new()).await;
    for (key, range, size) in [
        ("k", "bytes=10-", 10),
        ("k", "bytes=10-20", 10),
        ("k", "bytes=-0", 10),
        ("empty", "bytes=0-", 0),
        ("empty", "bytes=-5", 0),
    ] {
        let request = Signer::default().presign(&server.host(), RawRequest::new("GET", path(RAW, key)));
        let response = request.header("range", range).send(server.address).await;
        assert_eq!(response.outcome(), (416, "InvalidRange".into()), "{key} {range}");
        assert_eq!(response.headers["content-range"], format!("bytes */{size}"));
    }
}

#[tokio::test]
async fn malformed_and_multiple_ranges_are_ignored() {
    let server = S3TestServer::start().await;
    server.put("k", b"0123456789".to_vec()).await;
    for range in ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes=", "5"] {
        let request = Signer::default().presign(&server.host(), RawRequest::new("GET", path(RAW, "k")));
        let response = request.header("range", range).send(server.address).await;
        assert_eq!((response.status, &response.body[..]), (200, &b"0123456789"[..]), "{range}");
    }
}

#[tokio::test]
async fn conditional_reads_return_304_and_412() {
    let server = S3TestServer::start().await;
    let etag = server.put("k", b"body".to_vec()).await;
    let head = server.client.head_object().bucket(RAW).key("k").send().await.unwrap();
    let modified = head.last_modified().unwrap().fmt(DateTimeFormat::HttpDate).unwrap();
    for method in ["GET", "HEAD"] {
        for (name, value, status) in [
            ("if-none-match", etag.as_str(), 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "\"other\"", 200),
            ("if-match", etag.as_str(), 200),
            ("if-match", "\"other\"", 412),
            ("if-modified-since", modified.as_str(), 304),
            ("if-unmodified-since", modified.as_str(), 200),
            ("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT", 412),
            ("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT", 200),
        ] {
            let request = Signer::default().presign(&server.host(), RawRequest::new(method, path(RAW, "k")));
            let response = request.header(name, value).send(server.address).await;
            assert_eq!(response.status, status, "{method} {name}: {value}");
            if status == 304 {
                assert_eq!(response.headers["etag"], etag);
                assert_eq!(response.headers["last-modified"], modified);
                assert!(response.body.is_empty());
            }
        }
    }
    let _: DateTime = DateTime::from_str(&modified, DateTimeFormat::HttpDate).unwrap();
}

#[tokio::test]
async fn a_presigned_url_can_override_response_headers() {
    let server = S3TestServer::start().await;
    server.put("k", b"body".to_vec()).await;
    let target = format!(
        "{}?response-content-disposition=attachment%3B%20filename%3D%22x.mp4%22&response-content-type=video%2Fmp4",
        path(RAW, "k")
    );
    let request = Signer::default().presign(&server.host(), RawRequest::new("GET", target));
    let response = request.send(server.address).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["content-disposition"], "attachment; filename=\"x.mp4\"");
    assert_eq!(response.headers["content-type"], "video/mp4");
}

/// Stores an object of four parts of different sizes. Returns its bytes.
async fn put_in_parts(store: &Store, key: &str) -> Vec<u8> {
    let whole = pattern(700_000, 7);
    let upload = store.create_upload(RAW, key, NewUpload::default()).await.unwrap();
    let mut parts = Vec::new();
    for (number, range) in [(1, 0..1), (2, 1..300_000), (5, 300_000..300_007), (9, 300_007..700_000)] {
        let body =
            futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(&whole[range]))]);
        let staged = store.stage(body, None).await.unwrap();
        let part = store.put_part(RAW, key, &upload.id, number, staged).await.unwrap();
        parts.push(CompletedPart { number, etag: part.etag, checksums: Vec::new() });
    }
    store.complete_upload(RAW, key, &upload.id, parts, None, None, Precondition::None).await.unwrap();
    whole
}

#[tokio::test]
async fn a_part_can_be_read_by_its_number() {
    let server = S3TestServer::with_small_parts().await;
    let whole = put_in_parts(&server.store, "k").await;
    let part = server.client.get_object().bucket(RAW).key("k").part_number(2).send().await.unwrap();
    assert_eq!(part.parts_count(), Some(4));
    assert_eq!(part.content_range(), Some("bytes 1-299999/700000"));
    assert_eq!(part.body.collect().await.unwrap().to_vec(), whole[1..300_000]);
    let beyond = server.client.get_object().bucket(RAW).key("k").part_number(5).send().await;
    assert_eq!(refusal(beyond), (416, "InvalidRange".into()));
}

#[test]
fn any_range_of_an_object_of_several_parts_is_the_slice_of_its_bytes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (server, whole) = runtime.block_on(async {
        let server = S3TestServer::with_small_parts().await;
        let whole = put_in_parts(&server.store, "k").await;
        (server, whole)
    });
    // The boundaries of parts and of the reader's chunks are the edge cases.
    let edge = prop_oneof![
        0..700_100_u64,
        (proptest::sample::select(vec![0_u64, 1, 262_144, 300_000, 300_007, 562_151, 700_000]), 0..3_u64)
            .prop_map(|(edge, off)| (edge + off).saturating_sub(1)),
    ];
    proptest!(ProptestConfig::with_cases(48), |(first in edge.clone(), last in edge)| {
        let expected = usize::try_from(first).unwrap()..usize::try_from(last + 1).unwrap().min(whole.len());
        let range = format!("bytes={first}-{last}");
        let got = runtime.block_on(async {
            let got = server.client.get_object().bucket(RAW).key("k").range(range).send().await;
            match got {
                Ok(got) => Ok(got.body.collect().await.unwrap().to_vec()),
                refused => Err(refusal(refused)),
            }
        });
        match got {
            Ok(got) => prop_assert!(got == whole[expected], "{} bytes", got.len()),
            // The SDK signs the range, so a malformed one is refused and not ignored.
            Err(refused) if first > last => prop_assert_eq!(refused, (400, "InvalidArgument".to_owned())),
            Err(refused) => {
                prop_assert!(expected.start >= whole.len());
                prop_assert_eq!(refused, (416, "InvalidRange".to_owned()));
            }
        }
    });
    runtime.block_on(async { drop(server) });
}
