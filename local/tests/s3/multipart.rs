//! Multipart uploads.

use std::slice::from_ref;

use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadOutput;
use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use time::OffsetDateTime;

use crate::server::{RAW, S3TestServer, pattern, refusal};

const MIB: usize = 1 << 20;

async fn create(server: &S3TestServer, key: &str) -> String {
    let created =
        server.client.create_multipart_upload().bucket(RAW).key(key).content_type("video/mp4").send().await;
    created.unwrap().upload_id().unwrap().to_owned()
}

async fn upload(server: &S3TestServer, key: &str, id: &str, number: i32, body: Vec<u8>) -> CompletedPart {
    let part = server
        .client
        .upload_part()
        .bucket(RAW)
        .key(key)
        .upload_id(id)
        .part_number(number)
        .body(body.into())
        .send();
    CompletedPart::builder().part_number(number).e_tag(part.await.unwrap().e_tag().unwrap()).build()
}

fn completing(
    server: &S3TestServer,
    key: &str,
    id: &str,
    parts: &[CompletedPart],
) -> CompleteMultipartUploadFluentBuilder {
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build();
    server.client.complete_multipart_upload().bucket(RAW).key(key).upload_id(id).multipart_upload(parts)
}

async fn complete(
    server: &S3TestServer,
    key: &str,
    id: &str,
    parts: &[CompletedPart],
) -> CompleteMultipartUploadOutput {
    completing(server, key, id, parts).send().await.unwrap()
}

fn multipart_etag(parts: &[&[u8]]) -> String {
    let digests: Vec<u8> = parts.iter().flat_map(Md5::digest).collect();
    format!("\"{}-{}\"", HEXLOWER.encode(&Md5::digest(digests)), parts.len())
}

#[tokio::test]
async fn parts_sent_in_any_order_are_joined_in_the_order_of_their_numbers() {
    let server = S3TestServer::start().await;
    let bytes = [pattern(5 * MIB, 1), pattern(6 * MIB + 1, 2), pattern(3, 3)];
    let id = create(&server, "film.mp4").await;
    let last = upload(&server, "film.mp4", &id, 700, bytes[2].clone()).await;
    let first = upload(&server, "film.mp4", &id, 1, bytes[0].clone()).await;
    upload(&server, "film.mp4", &id, 2, pattern(5 * MIB, 99)).await;
    let second = upload(&server, "film.mp4", &id, 2, bytes[1].clone()).await;
    upload(&server, "film.mp4", &id, 3, pattern(10, 98)).await;
    assert!(!server.exists("film.mp4").await, "an unfinished upload is not an object");
    let completed = complete(&server, "film.mp4", &id, &[first, second, last]).await;
    let etag = multipart_etag(&[&bytes[0], &bytes[1], &bytes[2]]);
    assert_eq!(completed.e_tag(), Some(etag.as_str()));
    let got = server.client.get_object().bucket(RAW).key("film.mp4").send().await.unwrap();
    assert_eq!(got.e_tag(), Some(etag.as_str()));
    assert_eq!(got.content_type(), Some("video/mp4"));
    assert!(got.body.collect().await.unwrap().to_vec() == bytes.concat());
    assert_eq!(server.files().len(), 3, "replaced and unlisted parts are removed");
    let gone = server.client.list_parts().bucket(RAW).key("film.mp4").upload_id(id).send().await;
    assert_eq!(refusal(gone), (404, "NoSuchUpload".into()));
}

#[tokio::test]
async fn sixty_four_mebibytes_can_be_uploaded_in_parts_and_read_as_a_stream() {
    let server = S3TestServer::start().await;
    let id = create(&server, "long.mp4").await;
    let mut parts = Vec::new();
    for number in 1..=8 {
        let seed = u64::try_from(number).unwrap();
        parts.push(upload(&server, "long.mp4", &id, number, pattern(8 * MIB, seed)).await);
    }
    complete(&server, "long.mp4", &id, &parts).await;
    let mut body = server.client.get_object().bucket(RAW).key("long.mp4").send().await.unwrap().body;
    let (mut received, mut digest) = (0, Md5::new());
    while let Some(bytes) = body.next().await {
        let bytes = bytes.unwrap();
        received += bytes.len();
        digest.update(&bytes);
    }
    let mut expected = Md5::new();
    (1..=8).for_each(|seed| expected.update(pattern(8 * MIB, seed)));
    assert_eq!(received, 64 * MIB);
    assert_eq!(digest.finalize(), expected.finalize());
}

#[tokio::test]
async fn a_wrong_list_of_parts_is_refused_and_the_upload_is_kept() {
    let server = S3TestServer::start().await;
    let id = create(&server, "k").await;
    let one = upload(&server, "k", &id, 1, pattern(5 * MIB, 1)).await;
    let two = upload(&server, "k", &id, 2, pattern(5 * MIB - 1, 2)).await;
    let three = upload(&server, "k", &id, 3, pattern(5 * MIB, 3)).await;
    let other = |part: &CompletedPart| CompletedPart::builder().part_number(part.part_number().unwrap());
    let forged = other(&one).e_tag(two.e_tag().unwrap()).build();
    let absent = CompletedPart::builder().part_number(4).e_tag(one.e_tag().unwrap()).build();
    let zero = CompletedPart::builder().part_number(0).e_tag(one.e_tag().unwrap()).build();
    let bare = other(&one).build();
    for (parts, status, code) in [
        (vec![forged], 400, "InvalidPart"),
        (vec![one.clone(), absent], 400, "InvalidPart"),
        (vec![three.clone(), one.clone()], 400, "InvalidPartOrder"),
        (vec![one.clone(), one.clone()], 400, "InvalidPartOrder"),
        (vec![one.clone(), two.clone(), three.clone()], 400, "EntityTooSmall"),
        (vec![], 400, "MalformedXML"),
        (vec![zero], 400, "InvalidArgument"),
        (vec![bare], 400, "MalformedXML"),
    ] {
        let refused = completing(&server, "k", &id, &parts).send().await;
        assert_eq!(refusal(refused), (status, code.to_owned()), "{parts:?}");
    }
    let sized = completing(&server, "k", &id, from_ref(&one)).mpu_object_size(1).send().await;
    assert_eq!(refusal(sized), (400, "InvalidRequest".into()));
    assert!(!server.exists("k").await);
    assert_eq!(server.store.pending_notifications(10).await.unwrap(), []);
    let sized =
        completing(&server, "k", &id, &[one, two]).mpu_object_size(i64::try_from(10 * MIB - 1).unwrap());
    sized.send().await.unwrap();
}

#[tokio::test]
async fn part_numbers_and_uploads_that_do_not_exist_are_refused() {
    let server = S3TestServer::start().await;
    let id = create(&server, "k").await;
    let part = |key: &'static str, id: String, number: i32| {
        let body = ByteStream::from_static(b"x");
        server.client.upload_part().bucket(RAW).key(key).upload_id(id).part_number(number).body(body).send()
    };
    assert_eq!(refusal(part("k", id.clone(), 0).await), (400, "InvalidArgument".into()));
    assert_eq!(refusal(part("k", id.clone(), 10_001).await), (400, "InvalidArgument".into()));
    assert_eq!(refusal(part("k", "none".into(), 1).await), (404, "NoSuchUpload".into()));
    assert_eq!(refusal(part("other", id.clone(), 1).await), (404, "NoSuchUpload".into()));
    let abort = |id: &str| server.client.abort_multipart_upload().bucket(RAW).key("k").upload_id(id).send();
    part("k", id.clone(), 10_000).await.unwrap();
    assert_eq!(server.files().len(), 1);
    abort(&id).await.unwrap();
    assert_eq!(server.files(), Vec::<String>::new(), "aborting removes the parts");
    assert_eq!(refusal(abort(&id).await), (404, "NoSuchUpload".into()));
    let one = CompletedPart::builder().part_number(1).e_tag("\"x\"").build();
    assert_eq!(refusal(completing(&server, "k", &id, &[one]).send().await), (404, "NoSuchUpload".into()));
}

#[tokio::test]
async fn completing_again_after_a_lost_response_succeeds_without_a_second_event_notification() {
    let server = S3TestServer::start().await;
    let id = create(&server, "k").await;
    let part = upload(&server, "k", &id, 1, b"body".to_vec()).await;
    let first = complete(&server, "k", &id, from_ref(&part)).await;
    let again = completing(&server, "k", &id, from_ref(&part)).if_none_match("*").send().await.unwrap();
    assert_eq!(first.e_tag(), again.e_tag());
    assert_eq!(server.store.pending_notifications(10).await.unwrap().len(), 1);
    server.put("k", b"something newer".to_vec()).await;
    let late = completing(&server, "k", &id, &[part]).send().await;
    assert_eq!(refusal(late), (404, "NoSuchUpload".into()));
    assert_eq!(server.get("k").await, b"something newer");
}

#[tokio::test]
async fn parts_and_uploads_are_listed_in_pages() {
    let server = S3TestServer::start().await;
    let id = create(&server, "a/1").await;
    for number in [3, 1, 2, 9, 5] {
        upload(&server, "a/1", &id, number, vec![b'x'; usize::try_from(number).unwrap()]).await;
    }
    let mut pages =
        server.client.list_parts().bucket(RAW).key("a/1").upload_id(&id).into_paginator().page_size(2).send();
    let (mut numbers, mut counts) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        counts.push(page.parts().len());
        numbers.extend(page.parts().iter().map(|part| (part.part_number().unwrap(), part.size().unwrap())));
    }
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 3), (5, 5), (9, 9)]);
    assert_eq!(counts, [2, 2, 1]);

    let second = create(&server, "a/1").await;
    let third = create(&server, "b").await;
    let list = || server.client.list_multipart_uploads().bucket(RAW);
    let page = list().max_uploads(2).send().await.unwrap();
    assert_eq!(page.is_truncated(), Some(true));
    let mut ids: Vec<String> =
        page.uploads().iter().map(|upload| upload.upload_id().unwrap().to_owned()).collect();
    let rest = list()
        .key_marker(page.next_key_marker().unwrap())
        .upload_id_marker(page.next_upload_id_marker().unwrap())
        .send()
        .await
        .unwrap();
    ids.extend(rest.uploads().iter().map(|upload| upload.upload_id().unwrap().to_owned()));
    let mut of_a = [id, second];
    of_a.sort();
    assert_eq!(ids, [of_a[0].clone(), of_a[1].clone(), third.clone()]);
    let with_prefix = list().prefix("b").send().await.unwrap();
    assert_eq!(with_prefix.uploads()[0].upload_id(), Some(third.as_str()));
    assert_eq!(with_prefix.uploads().len(), 1);
}

#[tokio::test]
async fn uploads_are_aborted_by_age() {
    let server = S3TestServer::start().await;
    let old = create(&server, "old").await;
    upload(&server, "old", &old, 1, b"x".to_vec()).await;
    let initiated_at = server.store.upload(RAW, "old", &old).await.unwrap().initiated_at;
    assert_eq!(server.store.abort_uploads_before(initiated_at).await.unwrap(), 0);
    let later = OffsetDateTime::now_utc() + time::Duration::seconds(1);
    assert_eq!(server.store.abort_uploads_before(later).await.unwrap(), 1);
    assert_eq!(server.files(), Vec::<String>::new());
    let gone = server.client.list_parts().bucket(RAW).key("old").upload_id(old).send().await;
    assert_eq!(refusal(gone), (404, "NoSuchUpload".into()));
}

/// Waits until the clock shows a later time, at the store's resolution of a millisecond, and returns it.
async fn a_later_time() -> OffsetDateTime {
    let started_at = OffsetDateTime::now_utc();
    loop {
        let now = OffsetDateTime::now_utc();
        if now - started_at > time::Duration::milliseconds(2) {
            return now;
        }
        tokio::task::yield_now().await;
    }
}

/// A slow client that still sends parts has not abandoned its upload, even if that was initiated long ago.
#[tokio::test]
async fn an_upload_that_got_a_part_since_is_not_aborted() {
    let server = S3TestServer::start().await;
    let slow = create(&server, "slow").await;
    let idle = create(&server, "idle").await;
    for (key, id) in [("slow", &slow), ("idle", &idle)] {
        upload(&server, key, id, 1, b"x".to_vec()).await;
    }
    let limit = a_later_time().await;
    a_later_time().await;
    upload(&server, "slow", &slow, 2, b"y".to_vec()).await;
    assert_eq!(server.store.abort_uploads_before(limit).await.unwrap(), 1);
    assert!(server.store.upload(RAW, "slow", &slow).await.is_ok());
    assert!(server.store.upload(RAW, "idle", &idle).await.is_err());
}

#[tokio::test]
async fn the_checksum_of_an_upload_is_computed_from_its_parts() {
    let server = S3TestServer::with_small_parts().await;
    for (algorithm, kind, expected) in [
        // CRC-32 of "123456789" is cbf43926 (https://reveng.sourceforge.io/crc-catalogue/all.htm).
        (ChecksumAlgorithm::Crc32, ChecksumType::FullObject, Some("y/Q5Jg==")),
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject, Some("rosUhgp5mIg=")),
        (ChecksumAlgorithm::Sha256, ChecksumType::Composite, None),
    ] {
        let created = server
            .client
            .create_multipart_upload()
            .bucket(RAW)
            .key("k")
            .checksum_algorithm(algorithm.clone())
            .checksum_type(kind.clone())
            .send()
            .await
            .unwrap();
        let id = created.upload_id().unwrap();
        let mut parts = Vec::new();
        for (number, body) in [(1, &b"12345"[..]), (2, b"6789")] {
            let part = server
                .client
                .upload_part()
                .bucket(RAW)
                .key("k")
                .upload_id(id)
                .part_number(number)
                .checksum_algorithm(algorithm.clone())
                .body(ByteStream::from_static(body))
                .send()
                .await
                .unwrap();
            parts.push(
                CompletedPart::builder()
                    .part_number(number)
                    .e_tag(part.e_tag().unwrap())
                    .set_checksum_crc32(part.checksum_crc32().map(str::to_owned))
                    .set_checksum_crc64_nvme(part.checksum_crc64_nvme().map(str::to_owned))
                    .set_checksum_sha256(part.checksum_sha256().map(str::to_owned))
                    .build(),
            );
        }
        let mut forged = parts.clone();
        forged[0] = CompletedPart::builder()
            .part_number(1)
            .e_tag(parts[0].e_tag().unwrap())
            .set_checksum_crc32(parts[0].checksum_crc32().and(parts[1].checksum_crc32()).map(str::to_owned))
            .set_checksum_crc64_nvme(parts[1].checksum_crc64_nvme().map(str::to_owned))
            .set_checksum_sha256(parts[1].checksum_sha256().map(str::to_owned))
            .build();
        let refused = completing(&server, "k", id, &forged).send().await;
        assert_eq!(refusal(refused), (400, "InvalidPart".into()));
        complete(&server, "k", id, &parts).await;
        let head = server
            .client
            .head_object()
            .bucket(RAW)
            .key("k")
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .unwrap();
        assert_eq!(head.checksum_type(), Some(&kind));
        let value = head.checksum_crc32().or(head.checksum_crc64_nvme()).or(head.checksum_sha256()).unwrap();
        match expected {
            Some(expected) => assert_eq!(value, expected),
            None => assert!(value.ends_with("-2"), "{value}"),
        }
        // The SDK verifies what it reads against the checksum.
        assert_eq!(server.get("k").await, b"123456789");
    }
}

#[tokio::test]
async fn a_part_with_another_checksum_than_the_upload_is_refused() {
    let server = S3TestServer::start().await;
    let created = server
        .client
        .create_multipart_upload()
        .bucket(RAW)
        .key("k")
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .send()
        .await
        .unwrap();
    let part = server
        .client
        .upload_part()
        .bucket(RAW)
        .key("k")
        .upload_id(created.upload_id().unwrap())
        .part_number(1);
    let refused =
        part.checksum_algorithm(ChecksumAlgorithm::Sha1).body(ByteStream::from_static(b"x")).send().await;
    assert_eq!(refusal(refused), (400, "InvalidRequest".into()));
    let impossible = server.client.create_multipart_upload().bucket(RAW).key("k");
    let impossible = impossible
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .checksum_type(ChecksumType::FullObject)
        .send()
        .await;
    assert_eq!(refusal(impossible), (400, "InvalidRequest".into()));
}
