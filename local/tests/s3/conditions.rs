//! Conditional writes by concurrent writers.

use std::collections::BTreeSet;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures::future::join_all;

use crate::server::{RAW, S3TestServer, refusal};

const FAILED: u16 = 412;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_writers_of_an_absent_key_exactly_one_succeeds() {
    let server = S3TestServer::start().await;
    for round in 0..20 {
        let key = format!("race/{round}");
        let writers = (0..8).map(|writer| {
            let (client, key) = (server.client.clone(), key.clone());
            tokio::spawn(async move {
                let body = format!("writer {writer}").into_bytes();
                let put = client
                    .put_object()
                    .bucket(RAW)
                    .key(key)
                    .if_none_match("*")
                    .body(body.into())
                    .send()
                    .await;
                (writer, put.map(drop))
            })
        });
        let mut winners = Vec::new();
        for outcome in join_all(writers).await {
            match outcome.unwrap() {
                (writer, Ok(())) => winners.push(writer),
                (_, refused) => assert_eq!(refusal(refused), (FAILED, "PreconditionFailed".into())),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(server.get(&key).await, format!("writer {}", winners[0]).into_bytes());
    }
    assert_eq!(server.files().len(), 20, "the bodies of refused writes are removed");
    assert_eq!(
        server.store.pending_notifications(100).await.unwrap().len(),
        20,
        "only successful writes have event notifications"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_writers_with_the_same_if_match_exactly_one_succeeds() {
    let server = S3TestServer::start().await;
    let mut etag = server.put("pointer", b"start".to_vec()).await;
    for round in 0..10 {
        let writers = (0..8).map(|writer| {
            let (client, etag) = (server.client.clone(), etag.clone());
            tokio::spawn(async move {
                let body = format!("round {round} writer {writer}").into_bytes();
                client.put_object().bucket(RAW).key("pointer").if_match(etag).body(body.into()).send().await
            })
        });
        let outcomes = join_all(writers).await.into_iter().map(Result::unwrap);
        let (succeeded, refused): (Vec<_>, Vec<_>) = outcomes.partition(Result::is_ok);
        assert_eq!(succeeded.len(), 1, "round {round}");
        let codes: BTreeSet<_> = refused.into_iter().map(refusal).collect();
        assert_eq!(codes, BTreeSet::from([(FAILED, "PreconditionFailed".to_owned())]));
        etag = succeeded[0].as_ref().unwrap().e_tag().unwrap().to_owned();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_uploads_completed_for_an_absent_key_exactly_one_succeeds() {
    let server = S3TestServer::start().await;
    let mut uploads = Vec::new();
    for _ in 0..8 {
        let upload = server.client.create_multipart_upload().bucket(RAW).key("k").send().await.unwrap();
        let id = upload.upload_id().unwrap().to_owned();
        let part = server
            .client
            .upload_part()
            .bucket(RAW)
            .key("k")
            .upload_id(&id)
            .part_number(1)
            .body(id.clone().into_bytes().into())
            .send()
            .await
            .unwrap();
        uploads.push((id, part.e_tag().unwrap().to_owned()));
    }
    let completions = uploads.iter().cloned().map(|(id, etag)| {
        let client = server.client.clone();
        tokio::spawn(async move {
            let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
            let complete = client
                .complete_multipart_upload()
                .bucket(RAW)
                .key("k")
                .upload_id(&id)
                .if_none_match("*")
                .multipart_upload(CompletedMultipartUpload::builder().parts(part).build())
                .send()
                .await;
            (id, complete)
        })
    });
    let outcomes = join_all(completions).await.into_iter().map(Result::unwrap);
    let (succeeded, refused): (Vec<_>, Vec<_>) = outcomes.partition(|(_, outcome)| outcome.is_ok());
    assert_eq!(succeeded.len(), 1);
    for (id, outcome) in refused {
        assert_eq!(refusal(outcome), (FAILED, "PreconditionFailed".into()));
        // A refused upload still exists: it can be completed otherwise or aborted.
        server.client.list_parts().bucket(RAW).key("k").upload_id(id).send().await.unwrap();
    }
    assert_eq!(server.get("k").await, succeeded[0].0.as_bytes());
    assert_eq!(server.store.pending_notifications(100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_write_whose_condition_does_not_hold_is_refused() {
    let server = S3TestServer::start().await;
    let put = || server.client.put_object().bucket(RAW).key("k").body(b"new".to_vec().into());
    assert_eq!(refusal(put().if_match("\"any\"").send().await), (404, "NoSuchKey".into()));
    assert_eq!(refusal(put().if_match("*").send().await), (404, "NoSuchKey".into()));
    assert!(!server.exists("k").await);
    let etag = server.put("k", b"old".to_vec()).await;
    assert_eq!(refusal(put().if_match("\"other\"").send().await), (412, "PreconditionFailed".into()));
    assert_eq!(refusal(put().if_none_match("*").send().await), (412, "PreconditionFailed".into()));
    assert_eq!(refusal(put().if_none_match(&etag).send().await), (412, "PreconditionFailed".into()));
    let both = put().if_match(&etag).if_none_match("*").send().await;
    assert_eq!(refusal(both), (400, "InvalidRequest".into()));
    assert_eq!(server.get("k").await, b"old");
    put().if_match(&etag).send().await.unwrap();
    assert_eq!(server.get("k").await, b"new");
    put().if_match("*").send().await.unwrap();
    put().if_none_match(etag).send().await.unwrap();
}
