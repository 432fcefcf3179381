//! The objects of S3, on a server of its protocol that checks signatures.

use streamio_core::ports::object_store::ObjectStore as _;
use streamio_lambdas::adapters::s3::S3Objects;
use streamio_lambdas::settings;

use crate::s3_server::S3Server;
use crate::scripted::{Answer, Scripted};
use crate::sdk;

fn objects(endpoint: &str) -> S3Objects {
    S3Objects::new(&sdk(endpoint), settings::S3 { path_style: true })
}

#[tokio::test]
async fn a_look_shows_size_and_entity_tag_or_that_nothing_is_there() {
    let server = S3Server::start().await;
    let objects = objects(&server.endpoint);
    let key = "projects/acme/summer films/café + 100%.mp4";
    assert_eq!(objects.head("bucket", key).await.unwrap(), None);
    server.put(key, b"hello");
    let info = objects.head("bucket", key).await.unwrap().unwrap();
    assert_eq!((info.bytes, info.etag.as_str()), (5, "5d41402abc4b2a76b9719d911017c592"));
    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = i64::try_from(age.as_millis()).unwrap() - info.last_modified.unix_millis();
    assert!((0..3_600_000).contains(&age), "{age} ms");
}

#[tokio::test]
async fn an_object_is_removed_if_it_is_still_the_one_that_is_meant() {
    let server = S3Server::start().await;
    let objects = objects(&server.endpoint);
    server.put("a.mp4", b"hello");
    objects.delete("bucket", "a.mp4", "00000000000000000000000000000000").await.unwrap();
    assert!(server.has("a.mp4"), "another object than the one that is meant");
    objects.delete("bucket", "a.mp4", "5d41402abc4b2a76b9719d911017c592").await.unwrap();
    assert!(!server.has("a.mp4"));
    objects.delete("bucket", "a.mp4", "5d41402abc4b2a76b9719d911017c592").await.unwrap();
}

#[tokio::test]
async fn a_prefix_is_removed_page_by_page_and_nothing_beside_it() {
    let server = S3Server::start().await;
    let objects = objects(&server.endpoint);
    let count = 2_345;
    for number in 0..count {
        server.put(&format!("clip.hls/g1-1/{number}.m4s"), b"x");
    }
    for beside in ["clip.hls/g1", "clip.hls/g11-1/0.m4s", "clip.hls/g2-1/0.m4s"] {
        server.put(beside, b"x");
    }
    let folders = ["clip.hls/g1-1/", "clip.hls/g11-1/", "clip.hls/g2-1/"];
    assert_eq!(objects.folders("bucket", "clip.hls/").await.unwrap(), folders);
    objects.delete_prefix("bucket", "clip.hls/g1-").await.unwrap();
    assert!((0..count).all(|number| !server.has(&format!("clip.hls/g1-1/{number}.m4s"))));
    for beside in ["clip.hls/g1", "clip.hls/g11-1/0.m4s", "clip.hls/g2-1/0.m4s"] {
        assert!(server.has(beside), "{beside}");
    }
    objects.delete_prefix("bucket", "clip.hls/g1-").await.unwrap();
}

#[tokio::test]
async fn what_s3_refuses_is_an_error_and_no_absence() {
    let server = S3Server::start().await;
    let credentials = aws_credential_types::Credentials::new("access", "wrong", None, None, "test");
    let sdk = sdk(&server.endpoint)
        .into_builder()
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
        .build();
    let stranger = S3Objects::new(&sdk, settings::S3 { path_style: true });
    server.put("a.mp4", b"hello");
    let error = stranger.head("bucket", "a.mp4").await.unwrap_err();
    assert_eq!(error.to_string(), "HeadObject failed: status 403");
    assert!(error.source().is_some());
    assert!(stranger.delete("bucket", "a.mp4", "5d41402abc4b2a76b9719d911017c592").await.is_err());
    assert!(stranger.delete_prefix("bucket", "a").await.is_err());
    assert!(server.has("a.mp4"));
}

#[tokio::test]
async fn s3s_own_comparison_decides_at_the_moment_of_the_deletion() {
    // A look shows the object that is meant, and before the deletion another one is put in its place.
    let answers = [
        Answer::head(&[
            ("content-length", "5"),
            ("etag", "\"5d41402abc4b2a76b9719d911017c592\""),
            ("last-modified", "Fri, 02 Jan 2026 03:04:05 GMT"),
        ]),
        Answer::xml(412, "<Error><Code>PreconditionFailed</Code><Message>changed</Message></Error>"),
    ];
    let server = Scripted::start(answers).await;
    let objects = objects(&server.endpoint);
    objects.delete("bucket", "a.mp4", "5d41402abc4b2a76b9719d911017c592").await.unwrap();
    let if_match: Vec<_> = server.asked().into_iter().map(|asked| asked.if_match).collect();
    assert_eq!(if_match, [None, Some("\"5d41402abc4b2a76b9719d911017c592\"".to_owned())]);
}
