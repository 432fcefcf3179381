//! The object store on an S3 server that enforces signatures.

use streamio_core::ports::object_store::ObjectStore as _;
use streamio_lambdas::adapters::s3::S3Objects;
use streamio_lambdas::settings;

use crate::s3_server::S3Server;
use crate::scripted::{Response, Scripted};
use crate::sdk;

fn objects(endpoint: &str) -> S3Objects {
    S3Objects::new(&sdk(endpoint), settings::S3 { path_style: true })
}

#[tokio::test]
async fn head_returns_size_and_entity_tag_or_none() {
    let server = S3Server::start().await;
    let objects = objects(&server.endpoint);
    let key = "projects/acme/summer films/café + 100%.mp4";
    assert_eq!(objects.head("bucket", key, None).await.unwrap(), None);
    server.put(key, b"hello");
    let info = objects.head("bucket", key, None).await.unwrap().unwrap();
    assert_eq!((info.bytes, info.etag.as_str()), (5, "5d41402abc4b2a76b9719d911017c592"));
    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = i64::try_from(age.as_millis()).unwrap() - info.last_modified.unix_millis();
    assert!((0..3_600_000).contains(&age), "{age} ms");
}

#[tokio::test]
async fn an_object_is_deleted_only_with_the_given_entity_tag() {
    let server = S3Server::start().await;
    let objects = objects(&server.endpoint);
    server.put("a.mp4", b"hello");
    objects.delete("bucket", "a.mp4", "00000000000000000000000000000000").await.unwrap();
    assert!(server.has("a.mp4"), "the entity tag differs");
    objects.delete("bucket", "a.mp4", "5d41402abc4b2a76b9719d911017c592").await.unwrap();
    assert!(!server.has("a.mp4"));
    objects.delete("bucket", "a.mp4", "5d41402abc4b2a76b9719d911017c592").await.unwrap();
}

#[tokio::test]
async fn a_prefix_is_deleted_in_pages_and_nothing_else() {
    let server = S3Server::start().await;
    let objects = objects(&server.endpoint);
    let count = 2_345;
    for number in 0..count {
        server.put(&format!("clip.hls/g1-1/{number}.m4s"), b"x");
    }
    for other in ["clip.hls/g1", "clip.hls/g11-1/0.m4s", "clip.hls/g2-1/0.m4s"] {
        server.put(other, b"x");
    }
    let folders = ["clip.hls/g1-1/", "clip.hls/g11-1/", "clip.hls/g2-1/"];
    assert_eq!(objects.folders("bucket", "clip.hls/").await.unwrap(), folders);
    objects.delete_prefix("bucket", "clip.hls/g1-").await.unwrap();
    assert!((0..count).all(|number| !server.has(&format!("clip.hls/g1-1/{number}.m4s"))));
    for other in ["clip.hls/g1", "clip.hls/g11-1/0.m4s", "clip.hls/g2-1/0.m4s"] {
        assert!(server.has(other), "{other}");
    }
    objects.delete_prefix("bucket", "clip.hls/g1-").await.unwrap();
}

#[tokio::test]
async fn a_refused_request_is_an_error_and_not_an_absent_object() {
    let server = S3Server::start().await;
    let credentials = aws_credential_types::Credentials::new("access", "wrong", None, None, "test");
    let sdk = sdk(&server.endpoint)
        .into_builder()
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
        .build();
    let unauthorized = S3Objects::new(&sdk, settings::S3 { path_style: true });
    server.put("a.mp4", b"hello");
    let error = unauthorized.head("bucket", "a.mp4", None).await.unwrap_err();
    assert_eq!(error.to_string(), "HeadObject failed: status 403");
    assert!(error.source().is_some());
    assert!(unauthorized.delete("bucket", "a.mp4", "5d41402abc4b2a76b9719d911017c592").await.is_err());
    assert!(unauthorized.delete_prefix("bucket", "a").await.is_err());
    assert!(server.has("a.mp4"));
}

#[tokio::test]
async fn a_condition_that_fails_at_the_deletion_leaves_the_object() {
    // The object is replaced between the HEAD and the deletion.
    let responses = [
        Response::head(&[
            ("content-length", "5"),
            ("etag", "\"5d41402abc4b2a76b9719d911017c592\""),
            ("last-modified", "Fri, 02 Jan 2026 03:04:05 GMT"),
        ]),
        Response::xml(412, "<Error><Code>PreconditionFailed</Code><Message>changed</Message></Error>"),
    ];
    let server = Scripted::start(responses).await;
    let objects = objects(&server.endpoint);
    objects.delete("bucket", "a.mp4", "5d41402abc4b2a76b9719d911017c592").await.unwrap();
    let if_match: Vec<_> = server.requests().into_iter().map(|request| request.if_match).collect();
    assert_eq!(if_match, [None, Some("\"5d41402abc4b2a76b9719d911017c592\"".to_owned())]);
}

const VERSIONS: &str = r#"<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
    <Name>bucket</Name><Prefix>a.mp4</Prefix><IsTruncated>TRUNCATED</IsTruncated>
    <NextKeyMarker>a.mp4</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker>ENTRIES</ListVersionsResult>"#;

fn version(key: &str, version_id: &str, etag: &str) -> String {
    format!(
        "<Version><Key>{key}</Key><VersionId>{version_id}</VersionId><IsLatest>false</IsLatest>\
         <LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>\"{etag}\"</ETag><Size>5</Size></Version>"
    )
}

#[tokio::test]
async fn versions_are_read_page_by_page_the_oldest_first_without_delete_markers_and_longer_keys() {
    let page = |truncated: &str, entries: &str| {
        Response::xml(200, &VERSIONS.replace("TRUNCATED", truncated).replace("ENTRIES", entries))
    };
    let marker = "<DeleteMarker><Key>a.mp4</Key><VersionId>m</VersionId><IsLatest>true</IsLatest>\
                  <LastModified>2026-01-02T03:04:05.000Z</LastModified></DeleteMarker>";
    let first = format!("{marker}{}{}", version("a.mp4", "v3", "e3"), version("a.mp4", "v2", "e2"));
    let second = format!("{}{}", version("a.mp4", "null", "e1"), version("a.mp4.bak", "v9", "e9"));
    let server = Scripted::start([page("true", &first), page("true", &second)]).await;
    let versions = objects(&server.endpoint).versions("bucket", "a.mp4").await.unwrap();
    let ids: Vec<_> =
        versions.iter().map(|version| (version.version_id.as_deref(), version.etag.as_str())).collect();
    assert_eq!(ids, [(None, "e1"), (Some("v2"), "e2"), (Some("v3"), "e3")], "the first has no version");
    assert!(versions.iter().all(|version| version.bytes == 5));
    assert_eq!(server.requests().len(), 2, "what follows are other keys");
}

#[tokio::test]
async fn the_details_of_a_version_are_read_and_a_composite_checksum_is_none_of_the_object() {
    let head = |sum: &str| {
        Response::head(&[
            ("content-length", "5"),
            ("etag", "\"5d41402abc4b2a76b9719d911017c592\""),
            ("last-modified", "Fri, 02 Jan 2026 03:04:05 GMT"),
            ("content-type", "video/mp4"),
            ("x-amz-version-id", "v2"),
            ("x-amz-checksum-sha256", sum),
        ])
    };
    let whole = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";
    let server = Scripted::start([head(whole), head(&format!("{whole}-2"))]).await;
    let objects = objects(&server.endpoint);
    for sha256 in [Some(whole), None] {
        let info = objects.head("bucket", "a.mp4", Some("v2")).await.unwrap().unwrap();
        assert_eq!(
            (info.version_id.as_deref(), info.content_type.as_deref()),
            (Some("v2"), Some("video/mp4"))
        );
        assert_eq!(info.sha256.as_deref(), sha256);
    }
}

#[tokio::test]
async fn a_version_that_does_not_exist_is_deleted_already() {
    let missing = "<Error><Code>NoSuchVersion</Code><Message>gone</Message></Error>";
    let server = Scripted::start([Response::xml(204, ""), Response::xml(404, missing)]).await;
    let objects = objects(&server.endpoint);
    objects.delete_version("bucket", "a.mp4", "v2").await.unwrap();
    objects.delete_version("bucket", "a.mp4", "v2").await.unwrap();
    assert_eq!(server.requests().len(), 2);
}
