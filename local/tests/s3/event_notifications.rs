//! Event notifications of created objects.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use streamio_local::s3::{CreatedBy, ObjectHeaders, Watch};

use crate::server::{PROCESSED, RAW, S3TestServer, refusal};

#[tokio::test]
async fn every_way_to_create_an_object_writes_an_event_notification() {
    let server = S3TestServer::start().await;
    let put = server.client.put_object().bucket(RAW).key("red flower+%20.mp4").content_type("video/mp4");
    put.body(b"body".to_vec().into()).send().await.unwrap();
    let copy = server.client.copy_object().copy_source(format!("{RAW}/red%20flower%2B%2520.mp4"));
    copy.bucket(RAW).key("copy").send().await.unwrap();
    let upload = server.client.create_multipart_upload().bucket(RAW).key("parts").send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let part = server.client.upload_part().bucket(RAW).key("parts").upload_id(id).part_number(1);
    let part = part.body(b"part".to_vec().into()).send().await.unwrap();
    let part = CompletedPart::builder().part_number(1).e_tag(part.e_tag().unwrap()).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let complete = server.client.complete_multipart_upload().bucket(RAW).key("parts").upload_id(id);
    complete.multipart_upload(parts).send().await.unwrap();

    let notifications = server.store.pending_notifications(10).await.unwrap();
    let summaries: Vec<_> = notifications
        .iter()
        .map(|event| (event.key.as_str(), event.size, event.created_by, event.content_type.as_deref()))
        .collect();
    assert_eq!(
        summaries,
        [
            ("red flower+%20.mp4", 4, CreatedBy::Put, Some("video/mp4")),
            ("copy", 4, CreatedBy::Copy, Some("video/mp4")),
            ("parts", 4, CreatedBy::CompleteMultipartUpload, None),
        ]
    );
    let meta = server.store.head(RAW, "parts").await.unwrap().unwrap();
    let last = notifications.last().unwrap();
    assert_eq!(last.created_by.event_name(), "s3:ObjectCreated:CompleteMultipartUpload");
    assert_eq!(
        (&last.bucket, &last.etag, &last.sequencer, last.event_time),
        (&meta.bucket, &meta.etag, &meta.sequencer, meta.last_modified)
    );
}

#[tokio::test]
async fn only_successful_writes_to_watched_buckets_write_event_notifications() {
    let server = S3TestServer::start().await;
    server.store.put_bytes(PROCESSED, "k", ObjectHeaders::default(), "x").await.unwrap();
    assert_eq!(server.store.pending_notifications(10).await.unwrap(), []);
    server.put("k", b"x".to_vec()).await;
    let refused = server.client.put_object().bucket(RAW).key("k").if_none_match("*").send().await;
    assert_eq!(refusal(refused).0, 412);
    server.client.delete_object().bucket(RAW).key("k").send().await.unwrap();
    assert_eq!(server.store.pending_notifications(10).await.unwrap().len(), 1);
    server.store.ensure_bucket(RAW, Watch::Off).await.unwrap();
    server.put("k", b"x".to_vec()).await;
    assert_eq!(server.store.pending_notifications(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn event_notifications_are_kept_in_order_until_acknowledged_and_ids_are_not_reused() {
    let server = S3TestServer::start().await;
    for key in ["a", "b", "c"] {
        server.put(key, b"x".to_vec()).await;
    }
    let keys = async |limit| {
        let pending = server.store.pending_notifications(limit).await.unwrap();
        pending.into_iter().map(|event| (event.id, event.key)).collect::<Vec<_>>()
    };
    let all = keys(10).await;
    assert_eq!(all.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(keys(2).await, all[..2]);
    server.store.acknowledge(all[1].0).await.unwrap();
    server.store.acknowledge(all[1].0).await.unwrap();
    assert_eq!(keys(10).await, [all[0].clone(), all[2].clone()]);
    server.store.acknowledge(all[0].0).await.unwrap();
    server.store.acknowledge(all[2].0).await.unwrap();
    assert_eq!(keys(10).await, []);
    server.put("d", b"x".to_vec()).await;
    assert!(keys(10).await[0].0 > all[2].0);
}

#[tokio::test]
async fn the_sequencer_of_a_key_increases_with_overwrites_and_deletes() {
    let server = S3TestServer::start().await;
    for round in 0..20 {
        server.put("k", b"x".to_vec()).await;
        if round % 3 == 0 {
            server.client.delete_object().bucket(RAW).key("k").send().await.unwrap();
        }
    }
    let sequencers: Vec<String> = server
        .store
        .pending_notifications(100)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.sequencer)
        .collect();
    assert!(sequencers.iter().all(|sequencer| sequencer.len() == 16));
    assert!(sequencers.is_sorted_by(|one, other| one < other), "{sequencers:?}");
}

#[tokio::test]
async fn a_waiting_reader_is_notified() {
    let server = S3TestServer::start().await;
    let mut changes = server.store.watch_notifications();
    let waiting = tokio::spawn(async move {
        changes.changed().await.unwrap();
        *changes.borrow()
    });
    server.put("k", b"x".to_vec()).await;
    assert_eq!(waiting.await.unwrap(), server.store.pending_notifications(1).await.unwrap()[0].id);
}
