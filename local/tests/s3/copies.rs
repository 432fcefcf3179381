//! Copies within the server.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::server::{PROCESSED, RAW, S3TestServer, pattern, refusal};

fn source(key: &str) -> String {
    format!("{RAW}/{}", utf8_percent_encode(key, NON_ALPHANUMERIC))
}

#[tokio::test]
async fn a_copy_has_the_bytes_and_headers_of_its_source_and_does_not_depend_on_it() {
    let server = S3TestServer::start().await;
    let body = pattern(600_000, 4);
    server
        .client
        .put_object()
        .bucket(RAW)
        .key("from/ü +%.mp4")
        .content_type("video/mp4")
        .metadata("title", "t")
        .body(body.clone().into())
        .send()
        .await
        .unwrap();
    let copied = server
        .client
        .copy_object()
        .copy_source(source("from/ü +%.mp4"))
        .bucket(PROCESSED)
        .key("to")
        .send()
        .await
        .unwrap();
    assert_eq!(server.files().len(), 1, "the bytes are shared");
    server.client.delete_object().bucket(RAW).key("from/ü +%.mp4").send().await.unwrap();
    assert_eq!(server.files().len(), 1, "they are kept while one of the objects exists");
    let got = server.client.get_object().bucket(PROCESSED).key("to").send().await.unwrap();
    assert_eq!(got.content_type(), Some("video/mp4"));
    assert_eq!(got.metadata().unwrap()["title"], "t");
    assert_eq!(got.e_tag(), copied.copy_object_result().unwrap().e_tag());
    assert!(got.body.collect().await.unwrap().to_vec() == body);
    server.client.delete_object().bucket(PROCESSED).key("to").send().await.unwrap();
    assert_eq!(server.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_onto_itself_replaces_the_metadata() {
    let server = S3TestServer::start().await;
    server.put("k", b"body".to_vec()).await;
    let copy = || server.client.copy_object().copy_source(source("k")).bucket(RAW).key("k");
    assert_eq!(refusal(copy().send().await), (400, "InvalidRequest".into()));
    let replace = copy().metadata_directive(MetadataDirective::Replace).content_type("text/plain");
    replace.send().await.unwrap();
    let got = server.client.get_object().bucket(RAW).key("k").send().await.unwrap();
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"body");
    assert_eq!(server.files().len(), 1);
}

#[tokio::test]
async fn conditions_on_source_and_target_are_enforced() {
    let server = S3TestServer::start().await;
    let etag = server.put("from", b"body".to_vec()).await;
    server.put("existing", b"mine".to_vec()).await;
    let copy = |key: &str| server.client.copy_object().copy_source(source("from")).bucket(RAW).key(key);
    let failed = (412, "PreconditionFailed".to_owned());
    assert_eq!(refusal(copy("to").copy_source_if_match("\"other\"").send().await), failed);
    assert_eq!(refusal(copy("to").copy_source_if_none_match(&etag).send().await), failed);
    assert_eq!(refusal(copy("existing").if_none_match("*").send().await), failed);
    assert_eq!(refusal(copy("existing").if_match("\"other\"").send().await), failed);
    assert_eq!(server.get("existing").await, b"mine");
    assert!(!server.exists("to").await);
    copy("to").copy_source_if_match(&etag).if_none_match("*").send().await.unwrap();
    assert_eq!(server.get("to").await, b"body");
    let missing = server.client.copy_object().copy_source(source("none")).bucket(RAW).key("x").send().await;
    assert_eq!(refusal(missing), (404, "NoSuchKey".into()));
}

#[tokio::test]
async fn parts_are_copied_from_ranges_of_objects() {
    let server = S3TestServer::with_small_parts().await;
    let body = pattern(500_000, 5);
    server.put("from", body.clone()).await;
    let upload = server.client.create_multipart_upload().bucket(RAW).key("to").send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let copy = |number: i32, range: &str| {
        let copy = server.client.upload_part_copy().bucket(RAW).key("to").upload_id(id).part_number(number);
        copy.copy_source(source("from")).copy_source_range(range).send()
    };
    assert_eq!(refusal(copy(1, "bytes=0-500000").await), (416, "InvalidRange".into()));
    assert_eq!(refusal(copy(1, "bytes=5-").await), (400, "InvalidArgument".into()));
    let mut parts = Vec::new();
    for (number, range) in [(1, "bytes=400000-499999"), (2, "bytes=0-399999")] {
        let copied = copy(number, range).await.unwrap();
        let etag = copied.copy_part_result().unwrap().e_tag().unwrap();
        parts.push(CompletedPart::builder().part_number(number).e_tag(etag).build());
    }
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = server.client.complete_multipart_upload().bucket(RAW).key("to").upload_id(id);
    complete.multipart_upload(parts).send().await.unwrap();
    assert!(server.get("to").await == [&body[400_000..], &body[..400_000]].concat());
}
