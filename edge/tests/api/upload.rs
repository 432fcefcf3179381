use std::time::Duration;

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use streamio_edge::config::EdgeConfig;
use streamio_events::id::VideoId;
use streamio_events::object_key::SourceKey;

use crate::config::config;
use crate::test_edge::TestEdge;
use crate::urls::ParsedUrl;

const GIB: u64 = 1024 * 1024 * 1024;

#[tokio::test]
async fn a_plain_upload_is_a_put_that_needs_no_header() {
    let test = TestEdge::new();
    let answer = test.post("/upload-url", json!({ "filename": "clip.mp4" })).await.json();
    let seen = ParsedUrl::of(answer["uploadUrl"].as_str().unwrap());
    assert_eq!(seen.path, "/projects/acme/clip.mp4");
    assert_eq!(answer["s3Key"], "projects/acme/clip.mp4");
    assert_eq!((answer["headers"].clone(), seen.signed_headers()), (json!({}), vec![]));
    assert_eq!(seen.parameter("X-Amz-Expires"), Some("900"));
    assert_eq!(seen.parameter("X-Amz-Date"), Some("20260102T030405Z"));
    assert_eq!(answer["expiresAt"], "2026-01-02T03:19:05.000Z");
}

#[tokio::test]
async fn each_stated_property_becomes_a_signed_header_and_is_returned() {
    let stated = [
        ("contentType", json!("video/mp4"), "content-type", "video/mp4"),
        ("size", json!(5), "content-length", "5"),
        (
            "sha256",
            json!("0".repeat(64)),
            "x-amz-checksum-sha256",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        ("overwrite", json!(false), "if-none-match", "*"),
    ];
    let test = TestEdge::new();
    for chosen in 0..1 << stated.len() {
        let chosen: Vec<_> = stated.iter().enumerate().filter(|(bit, _)| chosen & (1 << bit) != 0).collect();
        let mut body = json!({ "filename": "clip.mp4" });
        for (_, (field, value, _, _)) in &chosen {
            body[*field] = value.clone();
        }
        let answer = test.post("/upload-url", body).await.json();
        let signed: serde_json::Map<String, Value> =
            chosen.iter().map(|(_, (_, _, header, value))| ((*header).to_owned(), json!(value))).collect();
        let seen = ParsedUrl::of(answer["uploadUrl"].as_str().unwrap());
        assert_eq!(seen.signed_headers(), signed.keys().collect::<Vec<_>>());
        let mut returned = signed.clone();
        // Scripts in a browser may not set it, and the browser does by itself.
        returned.remove("content-length");
        assert_eq!(answer["headers"], Value::from(returned));
    }
}

#[tokio::test]
async fn an_existing_file_is_kept_unless_the_request_states_otherwise() {
    let test = TestEdge::new();
    for (stated, recorded, signed) in
        [(None, false, [].as_slice()), (Some(false), false, &["if-none-match"]), (Some(true), true, &[])]
    {
        let answer =
            test.post("/upload-url", json!({ "filename": "a.mp4", "overwrite": stated })).await.json();
        let seen = ParsedUrl::of(answer["uploadUrl"].as_str().unwrap());
        assert_eq!(seen.signed_headers(), signed, "{stated:?}");
        let last = test.commits().await.pop().unwrap();
        assert_eq!(last.events[0].data["overwrite"], recorded, "{stated:?}");
    }
}

#[tokio::test]
async fn a_unique_key_has_a_folder_that_only_repetitions_of_its_request_share() {
    let test = TestEdge::new();
    let folder = |answer: &Value| {
        let key = answer["s3Key"].as_str().unwrap().to_owned();
        let rest = key.strip_prefix("projects/acme/films/").unwrap().strip_suffix("/IMG_0001.mp4").unwrap();
        assert!(
            rest.len() == 16 && rest.bytes().all(|byte| b"abcdefghijklmnopqrstuvwxyz234567".contains(&byte))
        );
        rest.to_owned()
    };
    let body = json!({ "filename": "IMG_0001.mp4", "path": "films", "unique": true });
    let mut folders = Vec::new();
    for _ in 0..20 {
        let answer = test.post("/upload-url", body.clone()).await.json();
        let url = ParsedUrl::of(answer["uploadUrl"].as_str().unwrap());
        assert_eq!(url.path, format!("/{}", answer["s3Key"].as_str().unwrap()));
        folders.push(folder(&answer));
    }
    for size in [None, Some(20_000_000)] {
        let body = json!({
            "filename": "IMG_0001.mp4", "path": "films", "unique": true, "size": size, "multipart": size.is_some()
        });
        let key = format!("key-{size:?}");
        let first = test.post_once(&key, "/upload-url", body.clone()).await;
        test.advance(Duration::from_secs(10));
        assert_eq!(test.post_once(&key, "/upload-url", body).await.body, first.body);
        let key: SourceKey = first.json()["s3Key"].as_str().unwrap().parse().unwrap();
        assert_eq!(first.json()["videoId"], VideoId::of(&key).as_str());
        folders.push(folder(&first.json()));
    }
    let all = folders.len();
    folders.sort();
    folders.dedup();
    assert_eq!(folders.len(), all);
}

#[tokio::test]
async fn a_name_that_is_too_long_with_its_unique_folder_is_refused() {
    let test = TestEdge::new();
    // The longest source key has 927 bytes.
    let longest = "a".repeat(927 - "projects/acme/".len());
    let grant = async |filename: &str, unique: bool| {
        test.post("/upload-url", json!({ "filename": filename, "unique": unique })).await
    };
    assert_eq!(grant(&longest, false).await.status, StatusCode::OK);
    let refused = grant(&longest, true).await;
    assert_eq!(
        (refused.status, refused.json()["field"].clone()),
        (StatusCode::UNPROCESSABLE_ENTITY, json!("filename"))
    );
    assert_eq!(grant(&longest[17..], true).await.status, StatusCode::OK);
}

/// Together they would replace the file of another upload in the rare case that the folders are the same.
#[tokio::test]
async fn a_unique_key_never_replaces_a_file() {
    let test = TestEdge::new();
    let grant = async |overwrite: Option<bool>| {
        test.post("/upload-url", json!({ "filename": "a.mp4", "unique": true, "overwrite": overwrite })).await
    };
    let refused = grant(Some(true)).await;
    assert_eq!((refused.status.as_u16(), &*refused.problem()), (422, "invalid-body"));
    assert_eq!(refused.json()["field"], "overwrite");
    for accepted in [None, Some(false)] {
        assert_eq!(grant(accepted).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_size_beyond_the_limit_of_the_service_is_refused_with_the_limit() {
    let test = TestEdge::with(EdgeConfig { max_upload_bytes: 6 * GIB, ..config() });
    for multipart in [None, Some(true)] {
        let grant = async |size: u64| {
            test.post("/upload-url", json!({ "filename": "a", "size": size, "multipart": multipart })).await
        };
        assert_eq!(grant(6 * GIB).await.status, StatusCode::OK);
        let refused = grant(6 * GIB + 1).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            refused.json()["errors"],
            json!([{ "field": "size", "detail": "must be at most 6442450944 bytes (6 GiB), the limit of this service" }])
        );
    }
    assert_eq!(test.commits().await.len(), 2);
}

#[tokio::test]
async fn names_in_another_normalization_form_get_the_key_in_nfc() {
    let test = TestEdge::new();
    let names = [("Cafe\u{301}", "O\u{308}l.mp4"), ("Caf\u{e9}", "\u{d6}l.mp4")]
        .map(|(path, filename)| json!({ "filename": filename, "path": path }));
    for name in &names {
        let answer = test.post_once("key-1", "/upload-url", name.clone()).await.json();
        assert_eq!(answer["s3Key"], "projects/acme/Caf\u{e9}/\u{d6}l.mp4");
        let seen = ParsedUrl::of(answer["uploadUrl"].as_str().unwrap());
        assert_eq!(seen.path, "/projects/acme/Caf\u{e9}/\u{d6}l.mp4");
    }
    assert_eq!(test.commits().await.len(), 1, "both are the same request");
    for key in ["Cafe%CC%81/O%CC%88l.mp4", "Caf%C3%A9/%C3%96l.mp4"] {
        let answer = test.post(&format!("/playback-url?key=processed/acme/{key}"), json!({})).await.json();
        let url = answer["signedUrl"].as_str().unwrap();
        assert!(url.contains("/processed/acme/Caf%C3%A9/%C3%96l.mp4?"), "{url}");
    }
}

#[tokio::test]
async fn the_grant_is_recorded_with_all_requested_properties() {
    let test = TestEdge::new();
    let body = json!({
        "filename": "clip.mp4", "path": "films/", "contentType": "video/mp4", "size": 5, "sha256": "0".repeat(64),
        "overwrite": false, "metadata": { "title": "Été" }, "expiresIn": 60
    });
    let answer = test.post("/upload-url", body).await.json();
    let commits = test.commits().await;
    assert_eq!(commits.len(), 1);
    assert_eq!(commits[0].stream.to_string(), format!("video/acme/{}", answer["videoId"].as_str().unwrap()));
    insta::assert_json_snapshot!(commits[0].events, @r#"
[
  {
    "type": "upload.granted",
    "v": 1,
    "at": "2026-01-02T03:04:05.250Z",
    "data": {
      "contentType": "video/mp4",
      "expiresAt": "2026-01-02T03:05:05.000Z",
      "grantId": "grt_enm3e7echxubhhklz2eshrz5k5",
      "keyId": "key_vllgt5ugvohflqnsqsgf3umgaq",
      "metadata": {
        "title": "Été"
      },
      "multipart": false,
      "overwrite": false,
      "s3Key": "projects/acme/films/clip.mp4",
      "sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
      "size": 5
    }
  }
]
"#);
}

#[tokio::test]
async fn a_file_over_five_gib_is_uploaded_in_parts() {
    let test = TestEdge::new();
    let at_most = test.post("/upload-url", json!({ "filename": "a", "size": 5 * GIB })).await.json();
    assert!(at_most["uploadUrl"].is_string() && at_most["multipart"].is_null());
    let answer = test.post("/upload-url", json!({ "filename": "a", "size": 5 * GIB + 1 })).await.json();
    assert!(answer["uploadUrl"].is_null());
    let multipart = &answer["multipart"];
    let parts = multipart["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 321);
    assert_eq!(parts.iter().map(|part| part["size"].as_u64().unwrap()).sum::<u64>(), 5 * GIB + 1);
    for (index, part) in parts.iter().enumerate() {
        let seen = ParsedUrl::of(part["url"].as_str().unwrap());
        assert_eq!(seen.path, "/projects/acme/a");
        assert_eq!(seen.parameter("partNumber"), Some(&*(index + 1).to_string()));
        assert_eq!(seen.parameter("uploadId"), multipart["uploadId"].as_str());
        assert_eq!(seen.signed_headers(), ["content-length"]);
        assert_eq!(seen.parameter("X-Amz-Expires"), Some("86400"));
    }
    assert_eq!(answer["expiresAt"], "2026-01-03T03:04:05.000Z");
}

#[tokio::test]
async fn a_multipart_upload_is_created_by_the_edge_with_the_objects_headers() {
    let test = TestEdge::new();
    let body =
        json!({ "filename": "a b.mov", "size": 1, "multipart": true, "contentType": "video/quicktime" });
    let answer = test.post("/upload-url", body).await.json();
    let origin = "https://streamio-raw.s3.eu-west-1.amazonaws.com";
    assert_eq!(test.store.requests(), [(Method::POST, format!("{origin}/projects/acme/a%20b.mov?uploads="))]);
    assert_eq!(answer["multipart"]["uploadId"], "VXBsb2FkIElELTE.1");
    assert_eq!(answer["multipart"]["completeHeaders"], json!({}));
    for url in ["completeUrl", "abortUrl"] {
        let seen = ParsedUrl::of(answer["multipart"][url].as_str().unwrap());
        assert_eq!(
            (seen.path.as_str(), seen.parameter("uploadId")),
            ("/projects/acme/a b.mov", Some("VXBsb2FkIElELTE.1"))
        );
        assert_eq!(seen.signed_headers(), [""; 0]);
    }
}

#[tokio::test]
async fn an_existing_file_is_protected_by_a_condition_on_the_completion() {
    let test = TestEdge::new();
    let body = json!({ "filename": "a", "size": 1, "multipart": true, "overwrite": false });
    let multipart = test.post("/upload-url", body).await.json()["multipart"].clone();
    assert_eq!(multipart["completeHeaders"], json!({ "if-none-match": "*" }));
    assert_eq!(ParsedUrl::of(multipart["completeUrl"].as_str().unwrap()).signed_headers(), ["if-none-match"]);
    assert_eq!(
        ParsedUrl::of(multipart["parts"][0]["url"].as_str().unwrap()).signed_headers(),
        ["content-length"]
    );
}

#[tokio::test]
async fn a_continued_multipart_upload_gets_new_urls_of_the_same_parts() {
    let test = TestEdge::new();
    let body = json!({ "filename": "a", "size": 40_000_000, "multipart": true });
    let first = test.post("/upload-url", body).await.json();
    test.advance(Duration::from_secs(80_000));
    let upload_id = first["multipart"]["uploadId"].clone();
    let body = json!({ "filename": "a", "size": 40_000_000, "uploadId": upload_id });
    let second = test.post("/upload-url", body).await.json();
    assert_eq!(test.store.requests().len(), 1, "no second upload is created");
    assert_eq!(second["multipart"]["uploadId"], upload_id);
    assert_ne!(second["grantId"], first["grantId"]);
    assert!(second["expiresAt"].as_str() > first["expiresAt"].as_str());
    let sizes = |answer: &Value| -> Vec<Value> {
        answer["multipart"]["parts"].as_array().unwrap().iter().map(|part| part["size"].clone()).collect()
    };
    assert_eq!(sizes(&second), sizes(&first));
}

#[tokio::test]
async fn a_refusal_of_the_object_store_is_a_503_and_its_text_is_not_returned() {
    let test = TestEdge::new();
    let denied = "<Error><Code>AccessDenied</Code><Message>the secret policy</Message></Error>";
    *test.store.next_response.lock().unwrap() =
        Some(Response::builder().status(403).body(denied.into()).unwrap());
    let answer = test.post("/upload-url", json!({ "filename": "a", "size": 1, "multipart": true })).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert!(!answer.json().to_string().contains("secret"));
    let served = answer.extensions.get::<streamio_edge::Served>().unwrap();
    let cause = served.cause.as_ref().unwrap().to_string();
    assert_eq!(cause, "CreateMultipartUpload failed with 403 Forbidden (AccessDenied)");
    assert_eq!(test.commits().await, []);
}
