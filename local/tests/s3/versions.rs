//! Versioning with the AWS SDK as client: what a write keeps, and what names which version.

use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
};
use streamio_local::s3::{NULL_VERSION, ObjectHeaders, StoreError, Versioning};

use crate::raw::RawRequest;
use crate::server::{PROCESSED, RAW, S3TestServer, refusal};
use crate::signer::{Signer, path};
use crate::versioned_server::VERSIONED;

#[tokio::test]
async fn an_overwritten_object_stays_as_a_version() {
    let server = S3TestServer::with_versions().await;
    let first = server.put_version("k", "one").await;
    let second = server.put_version("k", "two").await;
    assert_ne!(first, second);
    assert_eq!(server.get_version("k", None).await, "two");
    assert_eq!(server.get_version("k", Some(&first)).await, "one");
    assert_eq!(server.get_version("k", Some(&second)).await, "two");

    let current = server.client.get_object().bucket(VERSIONED).key("k").send().await.unwrap();
    assert_eq!(current.version_id(), Some(second.as_str()));
    let head = server.client.head_object().bucket(VERSIONED).key("k");
    let head = head.version_id(&first).send().await.unwrap();
    assert_eq!((head.version_id(), head.content_length()), (Some(first.as_str()), Some(3)));
    let listed = server.client.list_objects_v2().bucket(VERSIONED).send().await.unwrap();
    assert_eq!(listed.contents().len(), 1, "only the current version");
    assert_eq!(listed.contents()[0].e_tag(), current.e_tag());
    assert_eq!(server.files().len(), 2);
}

#[tokio::test]
async fn a_delete_adds_a_marker_and_removing_the_marker_brings_the_object_back() {
    let server = S3TestServer::with_versions().await;
    let version = server.put_version("k", "one").await;
    let marker = server.delete_current("k").await;
    assert_ne!(marker, version);
    assert_eq!(server.get_version("k", Some(&version)).await, "one");
    assert_eq!(server.client.list_objects_v2().bucket(VERSIONED).send().await.unwrap().contents().len(), 0);
    assert!(server.store.head(VERSIONED, "k").await.unwrap().is_none());

    let removed = server.client.delete_object().bucket(VERSIONED).key("k").version_id(&marker);
    let removed = removed.send().await.unwrap();
    assert_eq!((removed.delete_marker(), removed.version_id()), (Some(true), Some(marker.as_str())));
    assert_eq!(server.get_version("k", None).await, "one");
}

#[tokio::test]
async fn a_delete_marker_is_told_from_a_key_that_never_existed() {
    let server = S3TestServer::with_versions().await;
    server.put_version("k", "one").await;
    let marker = server.delete_current("k").await;
    let signer = Signer::default();
    for method in ["GET", "HEAD"] {
        let send = async |target: String| {
            let request = signer.presign(&server.host(), RawRequest::new(method, target));
            request.send(server.address).await
        };
        let current = send(path(VERSIONED, "k")).await;
        assert_eq!(current.status, 404, "{method}");
        assert_eq!(current.headers["x-amz-delete-marker"], "true");
        assert_eq!(current.headers["x-amz-version-id"], marker);
        let named = send(format!("{}?versionId={marker}", path(VERSIONED, "k"))).await;
        assert_eq!(named.status, 405, "{method}");
        assert_eq!(named.headers["x-amz-delete-marker"], "true");
        assert_eq!(named.headers["allow"], "DELETE");
        assert!(named.headers["last-modified"].ends_with("GMT"));
        let missing = send(path(VERSIONED, "other")).await;
        assert_eq!(missing.status, 404);
        assert!(!missing.headers.contains_key("x-amz-delete-marker"));
        if method == "GET" {
            assert_eq!((current.code(), named.code()), ("NoSuchKey".into(), "MethodNotAllowed".into()));
        }
    }
}

#[tokio::test]
async fn a_removed_version_is_gone_for_ever_and_the_one_before_becomes_current() {
    let server = S3TestServer::with_versions().await;
    let first = server.put_version("k", "one").await;
    let second = server.put_version("k", "two").await;
    server.remove_version("k", &second).await;
    assert_eq!(server.get_version("k", None).await, "one");
    assert_eq!(server.files().len(), 1, "its bytes are removed");
    let got = server.client.get_object().bucket(VERSIONED).key("k").version_id(&second).send().await;
    assert_eq!(refusal(got), (404, "NoSuchVersion".into()));
    // A retry after a lost response succeeds.
    server.remove_version("k", &second).await;
    server.remove_version("k", &first).await;
    let got = server.client.get_object().bucket(VERSIONED).key("k").send().await;
    assert_eq!(refusal(got), (404, "NoSuchKey".into()));
    assert_eq!(server.files(), Vec::<String>::new());
    assert_eq!(server.store.versions(VERSIONED, "k").await.unwrap(), []);
}

#[tokio::test]
async fn ids_that_the_server_cannot_have_issued_are_refused() {
    let server = S3TestServer::with_versions().await;
    server.put_version("k", "one").await;
    let no_such_version = (404, "NoSuchVersion".to_owned());
    for id in ["v1", "0000", "../../k", "Z".repeat(48).as_str()] {
        let get = server.client.get_object().bucket(VERSIONED).key("k").version_id(id).send().await;
        assert_eq!(refusal(get), no_such_version, "{id}");
        let delete = server.client.delete_object().bucket(VERSIONED).key("k").version_id(id).send().await;
        assert_eq!(refusal(delete), no_such_version, "{id}");
    }
    let empty = RawRequest::new("GET", format!("{}?versionId=", path(VERSIONED, "k")));
    let empty = Signer::default().presign(&server.host(), empty).send(server.address).await;
    assert_eq!(empty.outcome(), (400, "InvalidArgument".into()));
    assert_eq!(server.get_version("k", None).await, "one");
}

#[tokio::test]
async fn an_earlier_version_is_restored_by_a_copy() {
    let server = S3TestServer::with_versions().await;
    let first = server.put_version("k", "one").await;
    server.put_version("k", "two").await;
    let copy = |source: String| server.client.copy_object().copy_source(source).bucket(VERSIONED).key("k");
    let copied = copy(format!("{VERSIONED}/k?versionId={first}")).send().await.unwrap();
    assert_eq!(copied.copy_source_version_id(), Some(first.as_str()));
    let third = copied.version_id().unwrap();
    assert_eq!(server.get_version("k", None).await, "one");
    assert_eq!(server.get_version("k", Some(third)).await, "one");
    assert_eq!(server.files().len(), 2, "the copy shares the bytes");
    server.remove_version("k", &first).await;
    assert_eq!(server.get_version("k", None).await, "one", "the shared bytes stay");

    let marker = server.delete_current("k").await;
    let of_marker = copy(format!("{VERSIONED}/k?versionId={marker}")).send().await;
    assert_eq!(refusal(of_marker), (400, "InvalidRequest".into()));
    let of_deleted = server.client.copy_object().copy_source(format!("{VERSIONED}/k"));
    let of_deleted = of_deleted.bucket(VERSIONED).key("other").send().await;
    assert_eq!(refusal(of_deleted), (404, "NoSuchKey".into()));
    let of_removed = copy(format!("{VERSIONED}/k?versionId={first}")).send().await;
    assert_eq!(refusal(of_removed), (404, "NoSuchVersion".into()));
}

#[tokio::test]
async fn a_completed_upload_is_a_version_and_its_repetition_names_the_same_one() {
    let server = S3TestServer::with_versions().await;
    let source = server.put_version("source", "0123456789").await;
    server.put_version("source", "other").await;
    let client = &server.client;
    let upload = client.create_multipart_upload().bucket(VERSIONED).key("k").send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let part = client.upload_part_copy().bucket(VERSIONED).key("k").upload_id(id).part_number(1);
    let part = part.copy_source(format!("{VERSIONED}/source?versionId={source}"));
    let part = part.copy_source_range("bytes=2-4").send().await.unwrap();
    assert_eq!(part.copy_source_version_id(), Some(source.as_str()));
    let etag = part.copy_part_result().unwrap().e_tag().unwrap();
    let complete = || {
        let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        let complete = client.complete_multipart_upload().bucket(VERSIONED).key("k").upload_id(id);
        complete.multipart_upload(parts).send()
    };
    let version = complete().await.unwrap().version_id().unwrap().to_owned();
    assert_eq!(server.get_version("k", Some(&version)).await, "234");
    // After a lost response, with another version written meanwhile.
    server.put_version("k", "later").await;
    assert_eq!(complete().await.unwrap().version_id(), Some(version.as_str()));
    assert_eq!(server.get_version("k", None).await, "later");
    assert_eq!(server.store.versions(VERSIONED, "k").await.unwrap().len(), 2);
}

#[tokio::test]
async fn conditions_are_about_the_current_version_and_a_delete_marker_counts_as_absent() {
    let server = S3TestServer::with_versions().await;
    let first = server.put_version("k", "one").await;
    let old = server.store.head(VERSIONED, "k").await.unwrap().unwrap().etag;
    server.put_version("k", "two").await;
    let put = || server.client.put_object().bucket(VERSIONED).key("k").body(b"new".to_vec().into());
    let failed = (412, "PreconditionFailed".to_owned());
    assert_eq!(refusal(put().if_match(&old).send().await), failed);
    assert_eq!(refusal(put().if_none_match("*").send().await), failed);
    let delete = server.client.delete_object().bucket(VERSIONED).key("k").if_match(&old).send().await;
    assert_eq!(refusal(delete), failed);
    let get = server.client.get_object().bucket(VERSIONED).key("k").if_match(&old);
    let got = get.version_id(&first).send().await.unwrap();
    assert_eq!(got.version_id(), Some(first.as_str()), "the condition is about the requested version");

    server.delete_current("k").await;
    assert_eq!(refusal(put().if_match("*").send().await), (404, "NoSuchKey".into()));
    put().if_none_match("*").send().await.unwrap();
    assert_eq!(server.get_version("k", None).await, "new");
    assert_eq!(server.store.versions(VERSIONED, "k").await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_list_of_keys_and_versions_is_deleted_at_once() {
    let server = S3TestServer::with_versions().await;
    let first = server.put_version("k", "one").await;
    let second = server.put_version("k", "two").await;
    server.put_version("other", "x").await;
    let marker = server.delete_current("gone").await;
    let object = |key: &str, version: Option<&str>| {
        let object = ObjectIdentifier::builder().key(key);
        object.set_version_id(version.map(str::to_owned)).build().unwrap()
    };
    let delete = Delete::builder()
        .objects(object("k", Some(&second)))
        .objects(object("other", None))
        .objects(object("gone", Some(&marker)))
        .objects(object("k", Some("v1")))
        .build()
        .unwrap();
    let deleted = server.client.delete_objects().bucket(VERSIONED).delete(delete).send().await.unwrap();
    let entries: Vec<_> = deleted
        .deleted()
        .iter()
        .map(|entry| (entry.key().unwrap(), entry.version_id(), entry.delete_marker()))
        .collect();
    assert_eq!(
        entries,
        [
            ("k", Some(second.as_str()), None),
            ("other", None, Some(true)),
            ("gone", Some(marker.as_str()), Some(true))
        ]
    );
    let added = deleted.deleted()[1].delete_marker_version_id().unwrap();
    let versions = server.store.versions(VERSIONED, "other").await.unwrap();
    assert_eq!((versions.len(), versions[0].version_id.as_str()), (2, added));
    assert!(versions[0].is_delete_marker());
    let error = &deleted.errors()[0];
    assert_eq!(
        (error.key(), error.version_id(), error.code()),
        (Some("k"), Some("v1"), Some("NoSuchVersion"))
    );
    assert_eq!(server.get_version("k", None).await, "one");
    assert_eq!(server.get_version("k", Some(&first)).await, "one");
    assert_eq!(server.store.versions(VERSIONED, "gone").await.unwrap(), []);
}

#[tokio::test]
async fn a_bucket_that_was_never_versioned_names_no_versions() {
    let server = S3TestServer::with_versions().await;
    let put = server.client.put_object().bucket(RAW).key("k").body(b"x".to_vec().into());
    assert_eq!(put.send().await.unwrap().version_id(), None);
    let get = || server.client.get_object().bucket(RAW).key("k");
    assert_eq!(get().send().await.unwrap().version_id(), None);
    assert_eq!(get().version_id(NULL_VERSION).send().await.unwrap().version_id(), None);
    let meta = server.store.head(RAW, "k").await.unwrap().unwrap();
    assert_eq!(meta.version_id, None);
    assert_eq!(server.store.pending_notifications(10).await.unwrap()[0].version_id, None);
    let issued_elsewhere = server.put_version("k", "x").await;
    let got = get().version_id(issued_elsewhere).send().await;
    assert_eq!(refusal(got), (404, "NoSuchVersion".into()));
    let deleted = server.client.delete_object().bucket(RAW).key("k").send().await.unwrap();
    assert_eq!((deleted.delete_marker(), deleted.version_id()), (None, None));
    assert_eq!(server.store.versions(RAW, "k").await.unwrap(), []);
    let status = server.client.get_bucket_versioning().bucket(PROCESSED).send().await.unwrap();
    assert_eq!(status.status(), None);
}

#[tokio::test]
async fn objects_from_before_versioning_become_the_null_version() {
    let server = S3TestServer::with_versions().await;
    server.put("k", b"before".to_vec()).await;
    server.set_versioning(RAW, BucketVersioningStatus::Enabled).await;
    let status = server.client.get_bucket_versioning().bucket(RAW).send().await.unwrap();
    assert_eq!(status.status(), Some(&BucketVersioningStatus::Enabled));
    let head = server.client.head_object().bucket(RAW).key("k").send().await.unwrap();
    assert_eq!(head.version_id(), Some(NULL_VERSION));
    let pending = server.store.pending_notifications(10).await.unwrap();
    assert_eq!(pending[0].version_id.as_deref(), Some(NULL_VERSION), "also in what is pending");

    server.put("k", b"after".to_vec()).await;
    let null = server.client.get_object().bucket(RAW).key("k").version_id(NULL_VERSION).send().await.unwrap();
    assert_eq!(null.body.collect().await.unwrap().to_vec(), b"before");
    assert_eq!(server.get("k").await, b"after");
}

#[tokio::test]
async fn suspended_versioning_replaces_the_null_version_only() {
    let server = S3TestServer::with_versions().await;
    let kept = server.put_version("k", "kept").await;
    server.set_versioning(VERSIONED, BucketVersioningStatus::Suspended).await;
    let status = server.client.get_bucket_versioning().bucket(VERSIONED).send().await.unwrap();
    assert_eq!(status.status(), Some(&BucketVersioningStatus::Suspended));
    assert_eq!(server.put_version("k", "null one").await, NULL_VERSION);
    assert_eq!(server.put_version("k", "null two").await, NULL_VERSION);
    assert_eq!(server.get_version("k", None).await, "null two");
    assert_eq!(server.files().len(), 2);
    assert_eq!(server.delete_current("k").await, NULL_VERSION);
    assert_eq!(server.files().len(), 1, "the marker replaces the null version");
    assert_eq!(server.get_version("k", Some(&kept)).await, "kept");
    server.remove_version("k", NULL_VERSION).await;
    assert_eq!(server.get_version("k", None).await, "kept");
}

#[tokio::test]
async fn versioning_can_be_enabled_and_suspended_but_not_switched_off() {
    let server = S3TestServer::with_versions().await;
    let request = |configuration: &str| {
        let body = format!("<VersioningConfiguration>{configuration}</VersioningConfiguration>");
        RawRequest::new("PUT", format!("/{VERSIONED}?versioning")).body(body)
    };
    let put = async |configuration: &str| {
        let request = request(configuration);
        Signer::default().authorize(&server.host(), request).send(server.address).await.outcome()
    };
    let illegal = (400, "IllegalVersioningConfigurationException".to_owned());
    assert_eq!(put("").await, illegal);
    assert_eq!(put("<Status>Disabled</Status>").await, illegal);
    assert_eq!(
        put("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>").await,
        (501, "NotImplemented".into())
    );
    assert_eq!(put("<Status>Suspended</Status>").await, (200, String::new()));
    assert_eq!(put("<Status>Enabled</Status>").await, (200, String::new()));
    for (header, digest) in
        [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), ("x-amz-checksum-crc32", "AAAAAA==")]
    {
        let damaged = request("<Status>Suspended</Status>").header(header, digest);
        let damaged = Signer::default().authorize(&server.host(), damaged).send(server.address).await;
        assert_eq!(damaged.outcome(), (400, "BadDigest".into()), "{header}");
    }
    let bucket = server.store.bucket(VERSIONED).await.unwrap().unwrap();
    assert_eq!(bucket.versioning, Versioning::Enabled);
    let off = server.store.set_versioning(VERSIONED, Versioning::Off).await;
    assert!(matches!(off, Err(StoreError::VersioningStays { .. })), "{off:?}");
    let missing = server.client.get_bucket_versioning().bucket("no-such-bucket").send().await;
    assert_eq!(refusal(missing), (404, "NoSuchBucket".into()));
}

#[tokio::test]
async fn the_notification_of_a_write_names_its_own_version() {
    let server = S3TestServer::with_versions().await;
    let first = server.put_version("k", "one").await;
    let second = server.put_version("k", "two").await;
    server.delete_current("k").await;
    let copy = server.client.copy_object().copy_source(format!("{VERSIONED}/k?versionId={first}"));
    let copy = copy.bucket(VERSIONED).key("copy").send().await.unwrap();
    let notifications = server.store.pending_notifications(10).await.unwrap();
    let versions: Vec<_> =
        notifications.iter().map(|it| (it.key.as_str(), it.version_id.as_deref())).collect();
    assert_eq!(
        versions,
        [("k", Some(first.as_str())), ("k", Some(second.as_str())), ("copy", copy.version_id())]
    );
    for notification in &notifications {
        let id = notification.version_id.as_deref().unwrap();
        let meta = server.store.head_version(VERSIONED, &notification.key, id).await.unwrap().unwrap();
        assert_eq!(
            (&meta.etag, &meta.sequencer, meta.size),
            (&notification.etag, &notification.sequencer, notification.size)
        );
    }
}

#[tokio::test]
async fn a_version_that_is_being_read_stays_readable_after_its_removal() {
    use futures::StreamExt as _;
    let server = S3TestServer::with_versions().await;
    let meta =
        server.store.put_bytes(VERSIONED, "k", ObjectHeaders::default(), vec![b'x'; 600_000]).await.unwrap();
    let id = meta.version_id.unwrap();
    let object = server.store.get_version(VERSIONED, "k", &id).await.unwrap().unwrap();
    server.remove_version("k", &id).await;
    let mut stream = object.stream(0..u64::MAX);
    let mut bytes = 0;
    while let Some(read) = stream.next().await {
        bytes += read.unwrap().len();
    }
    assert_eq!(bytes, 600_000);
    drop((stream, object));
    assert_eq!(server.files(), Vec::<String>::new());
}
