//! Operations on objects and buckets.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use streamio_local::s3::ObjectHeaders;

use crate::raw::RawRequest;
use crate::server::{PROCESSED, RAW, S3TestServer, metadata, pattern, refusal};
use crate::signer::{Signer, path};

fn unusual_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "plain.mp4",
        "with space.mp4",
        "plus+and%and%2Fpercent%00.mp4",
        "quote'double\"back`tick.mp4",
        "ünï/çödé/日本語/🎬.mp4",
        "e\u{301} decomposed",
        "double//slash",
        "/leading",
        "//",
        "trailing/",
        ".",
        "..",
        "../up",
        "a/../b/./c",
        "question?mark#hash&amp=;semi:colon",
        "back\\slash",
        "*|<>[]{}^~!$(),@",
        "new\nline\ttab",
        "CON",
        "x-amz-meta-x",
    ]
    .map(str::to_owned)
    .into();
    keys.push("k".repeat(1024));
    keys.push("é".repeat(512));
    keys
}

#[tokio::test]
async fn unusual_keys_are_stored_unchanged() {
    let server = S3TestServer::start().await;
    for (index, key) in unusual_keys().iter().enumerate() {
        let body = format!("body {index}").into_bytes();
        server.put(key, body.clone()).await;
        assert_eq!(server.get(key).await, body, "{key:?}");
        assert_eq!(server.store.head(RAW, key).await.unwrap().unwrap().key, *key);
    }
    let listed = server.client.list_objects_v2().bucket(RAW).send().await.unwrap();
    let mut listed: Vec<&str> = listed.contents().iter().map(|object| object.key().unwrap()).collect();
    let mut keys = unusual_keys();
    keys.sort();
    listed.retain(|key| !key.contains('\n'));
    keys.retain(|key| !key.contains('\n'));
    assert_eq!(listed, keys);
    for key in unusual_keys() {
        server.client.delete_object().bucket(RAW).key(&key).send().await.unwrap();
        assert!(!server.exists(&key).await, "{key:?}");
    }
    assert_eq!(server.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_that_is_too_long_or_not_utf8_is_refused() {
    let server = S3TestServer::start().await;
    let put = server.client.put_object().bucket(RAW).key("k".repeat(1025)).send().await;
    assert_eq!(refusal(put), (400, "KeyTooLongError".into()));
    let request = Signer::default().presign(&server.host(), RawRequest::new("PUT", path(RAW, "x")));
    let request = RawRequest { target: request.target.replace("/raw/x", "/raw/%ff"), ..request };
    assert_eq!(request.send(server.address).await.outcome(), (400, "InvalidURI".into()));
    let deleted = server
        .client
        .delete_objects()
        .bucket(RAW)
        .delete(
            Delete::builder()
                .objects(ObjectIdentifier::builder().key("k".repeat(1025)).build().unwrap())
                .build()
                .unwrap(),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.errors()[0].code(), Some("KeyTooLongError"));
}

#[tokio::test]
async fn headers_and_metadata_are_returned() {
    let server = S3TestServer::start().await;
    let expires = aws_sdk_s3::primitives::DateTime::from_secs(2_000_000_000);
    let mut put = server
        .client
        .put_object()
        .bucket(RAW)
        .key("k")
        .body(ByteStream::from_static(b"body"))
        .content_type("video/mp4; codecs=\"avc1\"")
        .content_encoding("identity")
        .content_language("de")
        .content_disposition("attachment; filename*=UTF-8''%C3%A4.mp4")
        .cache_control("max-age=5")
        .expires(expires);
    for (name, value) in metadata(&[("title", "a b"), ("author", "x")]) {
        put = put.metadata(name, value);
    }
    put.send().await.unwrap();
    let got = server.client.get_object().bucket(RAW).key("k").send().await.unwrap();
    assert_eq!(got.content_type(), Some("video/mp4; codecs=\"avc1\""));
    assert_eq!(got.content_encoding(), Some("identity"));
    assert_eq!(got.content_language(), Some("de"));
    assert_eq!(got.content_disposition(), Some("attachment; filename*=UTF-8''%C3%A4.mp4"));
    assert_eq!(got.cache_control(), Some("max-age=5"));
    assert_eq!(got.expires_string(), Some("Wed, 18 May 2033 03:33:20 GMT"));
    assert_eq!(got.metadata().unwrap()["title"], "a b");
    assert_eq!(got.metadata().unwrap()["author"], "x");
    assert_eq!(got.content_length(), Some(4));
    assert_eq!(got.accept_ranges(), Some("bytes"));
    // MD5 of "body".
    assert_eq!(got.e_tag(), Some("\"841a2d689ad86bd1611447453c22c6fc\""));
    let head = server.client.head_object().bucket(RAW).key("k").send().await.unwrap();
    assert_eq!(head.content_type(), Some("video/mp4; codecs=\"avc1\""));
    assert_eq!(head.content_length(), Some(4));
    assert_eq!(head.e_tag(), got.e_tag());
    assert_eq!(head.last_modified(), got.last_modified());
}

#[tokio::test]
async fn an_object_can_be_empty_and_has_a_default_content_type() {
    let server = S3TestServer::start().await;
    server.put("empty", ByteStream::from_static(b"")).await;
    let got = server.client.get_object().bucket(RAW).key("empty").send().await.unwrap();
    assert_eq!(got.content_length(), Some(0));
    assert!(got.body.collect().await.unwrap().to_vec().is_empty());
    let request = Signer::default().presign(&server.host(), RawRequest::new("PUT", path(RAW, "typeless")));
    assert_eq!(request.body("x").send(server.address).await.status, 200);
    let head = server.client.head_object().bucket(RAW).key("typeless").send().await.unwrap();
    assert_eq!(head.content_type(), Some("binary/octet-stream"));
}

#[tokio::test]
async fn overwriting_replaces_the_object_and_removes_the_old_bytes() {
    let server = S3TestServer::start().await;
    let first = server.put("k", pattern(100_000, 1)).await;
    let second = server.put("k", pattern(50_000, 2)).await;
    assert_ne!(first, second);
    assert_eq!(server.get("k").await, pattern(50_000, 2));
    assert_eq!(server.files().len(), 1);
}

#[tokio::test]
async fn missing_objects_and_buckets_have_their_error_codes() {
    let server = S3TestServer::start().await;
    let got = server.client.get_object().bucket(RAW).key("none").send().await;
    assert_eq!(refusal(got), (404, "NoSuchKey".into()));
    let head = server.client.head_object().bucket(RAW).key("none").send().await;
    assert_eq!(refusal(head).0, 404);
    let got = server.client.get_object().bucket("no-such-bucket").key("k").send().await;
    assert_eq!(refusal(got), (404, "NoSuchBucket".into()));
    let put = server.client.put_object().bucket("no-such-bucket").key("k").send().await;
    assert_eq!(refusal(put), (404, "NoSuchBucket".into()));
    let list = server.client.list_objects_v2().bucket("no-such-bucket").send().await;
    assert_eq!(refusal(list), (404, "NoSuchBucket".into()));
    let head = server.client.head_bucket().bucket("no-such-bucket").send().await;
    assert_eq!(refusal(head).0, 404);
    assert_eq!(server.files(), Vec::<String>::new());
}

#[tokio::test]
async fn deleting_is_idempotent_and_can_be_conditional() {
    let server = S3TestServer::start().await;
    let etag = server.put("k", b"one".to_vec()).await;
    let refused = server.client.delete_object().bucket(RAW).key("k").if_match("\"other\"").send().await;
    assert_eq!(refusal(refused), (412, "PreconditionFailed".into()));
    assert!(server.exists("k").await);
    server.client.delete_object().bucket(RAW).key("k").if_match(etag).send().await.unwrap();
    server.client.delete_object().bucket(RAW).key("k").send().await.unwrap();
    assert!(!server.exists("k").await);
}

#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let server = S3TestServer::start().await;
    for key in ["a", "b", "c", "d e+f%20&<>"] {
        server.put(key, b"x".to_vec()).await;
    }
    let of = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete =
        Delete::builder().objects(of("a")).objects(of("none")).objects(of("d e+f%20&<>")).build().unwrap();
    let deleted = server.client.delete_objects().bucket(RAW).delete(delete).send().await.unwrap();
    let mut keys: Vec<&str> = deleted.deleted().iter().map(|deleted| deleted.key().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "d e+f%20&<>", "none"]);
    let quiet = Delete::builder().objects(of("b")).quiet(true).build().unwrap();
    let deleted = server.client.delete_objects().bucket(RAW).delete(quiet).send().await.unwrap();
    assert!(deleted.deleted().is_empty());
    let left = server.client.list_objects_v2().bucket(RAW).send().await.unwrap();
    assert_eq!(left.contents().len(), 1);
    assert_eq!(left.contents()[0].key(), Some("c"));
}

#[tokio::test]
async fn only_a_prefix_is_deleted_even_in_several_batches() {
    let server = S3TestServer::start().await;
    for index in 0..1005 {
        let key = format!("P.hls/{index}");
        server.store.put_bytes(PROCESSED, &key, ObjectHeaders::default(), "x").await.unwrap();
    }
    for key in ["P", "P.hls", "P.hlt", "Q.hls/0"] {
        server.store.put_bytes(PROCESSED, key, ObjectHeaders::default(), "x").await.unwrap();
    }
    assert_eq!(server.store.delete_prefix(PROCESSED, "P.hls/").await.unwrap(), 1005);
    assert_eq!(server.store.delete_prefix(PROCESSED, "P.hls/").await.unwrap(), 0);
    let left = server.client.list_objects_v2().bucket(PROCESSED).send().await.unwrap();
    let left: Vec<&str> = left.contents().iter().map(|object| object.key().unwrap()).collect();
    assert_eq!(left, ["P", "P.hls", "P.hlt", "Q.hls/0"]);
    assert_eq!(server.files().len(), 4);
}

#[tokio::test]
async fn buckets_are_created_headed_and_listed() {
    let server = S3TestServer::start().await;
    server.client.create_bucket().bucket("another.bucket-1").send().await.unwrap();
    let again = server.client.create_bucket().bucket("another.bucket-1").send().await;
    assert_eq!(refusal(again), (409, "BucketAlreadyOwnedByYou".into()));
    let bad = server.client.create_bucket().bucket("Bad_Name").send().await;
    assert_eq!(refusal(bad), (400, "InvalidBucketName".into()));
    let head = server.client.head_bucket().bucket("another.bucket-1").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("us-east-1"));
    let location = server.client.get_bucket_location().bucket(RAW).send().await.unwrap();
    // S3 omits the name of this region.
    assert!(location.location_constraint().is_none_or(|region| region.as_str().is_empty()));
    let listed = server.client.list_buckets().send().await.unwrap();
    let names: Vec<&str> = listed.buckets().iter().map(|bucket| bucket.name().unwrap()).collect();
    assert_eq!(names, ["another.bucket-1", "processed", "raw"]);
}

#[tokio::test]
async fn unsupported_features_are_refused_and_not_ignored() {
    let server = S3TestServer::start().await;
    let put = server.client.put_object().bucket(RAW).key("k").tagging("a=b").send().await;
    assert_eq!(refusal(put), (501, "NotImplemented".into()));
    server.put("k", b"x".to_vec()).await;
    let got = server.client.get_object().bucket(RAW).key("k").version_id("v1").send().await;
    assert_eq!(refusal(got), (404, "NoSuchVersion".into()));
    let acl = server.client.get_object_acl().bucket(RAW).key("k").send().await;
    assert_eq!(refusal(acl), (501, "NotImplemented".into()));
}

#[tokio::test]
async fn user_metadata_is_limited() {
    let server = S3TestServer::start().await;
    let put = |length: usize| {
        server.client.put_object().bucket(RAW).key("k").metadata("m", "v".repeat(length)).send()
    };
    put(2047).await.unwrap();
    assert_eq!(refusal(put(2048).await), (400, "MetadataTooLarge".into()));
}
