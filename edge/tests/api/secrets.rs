//! API keys, private keys and signed URLs are never in an event, a problem or the operator's log.

use std::cell::RefCell;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use streamio_edge::Served;

use crate::config::{SECRET_ACCESS_KEY, config, unlimited};
use crate::test_edge::{TestEdge, block_on};
use crate::urls::{ParsedUrl, urls};

/// A place where a client may put the key by mistake.
#[derive(Debug, Clone, Copy)]
enum Place {
    Filename,
    Path,
    ContentType,
    MetadataValue,
    MetadataName,
    FieldName,
    WrongType,
    TwiceInBody,
    QueryName,
    QueryValue,
    ObjectKey,
    PathOfUrl,
    RequestId,
    IdempotencyKey,
    UploadId,
    Nowhere,
}

const PLACES: [Place; 16] = [
    Place::Filename,
    Place::Path,
    Place::ContentType,
    Place::MetadataValue,
    Place::MetadataName,
    Place::FieldName,
    Place::WrongType,
    Place::TwiceInBody,
    Place::QueryName,
    Place::QueryValue,
    Place::ObjectKey,
    Place::PathOfUrl,
    Place::RequestId,
    Place::IdempotencyKey,
    Place::UploadId,
    Place::Nowhere,
];

fn request(place: Place, key: &str, around: &str) -> Request<Bytes> {
    let text = format!("{around}{key}{around}");
    let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC);
    let upload = |fields: serde_json::Value| {
        let mut body = json!({ "filename": "a.mp4", "size": 1 });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        ("/upload-url".to_owned(), body.to_string())
    };
    let playback = |query: String| (format!("/playback-url?{query}"), "{}".to_owned());
    let (uri, body) = match place {
        Place::Filename => upload(json!({ "filename": text })),
        Place::Path => upload(json!({ "path": text })),
        Place::ContentType => upload(json!({ "contentType": format!("video/{text}") })),
        Place::MetadataValue => upload(json!({ "metadata": { "note": text } })),
        Place::MetadataName => upload(json!({ "metadata": { text.as_str(): "x" } })),
        Place::FieldName => upload(json!({ text.as_str(): "x" })),
        Place::WrongType => upload(json!({ "size": text })),
        Place::TwiceInBody => ("/upload-url".to_owned(), format!("{{\"{text}\": 1, \"{text}\": 2}}")),
        Place::UploadId => upload(json!({ "uploadId": text })),
        Place::QueryName => playback(format!("key=processed/acme/a.mp4&{encoded}=1")),
        Place::QueryValue => playback(format!("key=processed/acme/a.mp4&note={encoded}")),
        Place::ObjectKey => playback(format!("key=processed/acme/{encoded}")),
        Place::PathOfUrl => (format!("/videos/{encoded}"), String::new()),
        Place::RequestId | Place::IdempotencyKey | Place::Nowhere => upload(json!({})),
    };
    let method = if matches!(place, Place::PathOfUrl) { Method::GET } else { Method::POST };
    let mut request = Request::builder().method(method).uri(uri).body(Bytes::from(body)).unwrap();
    let mut header =
        |name, value: &str| request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    header("x-api-key", key);
    match place {
        Place::RequestId => header("x-request-id", &text),
        Place::IdempotencyKey => header("idempotency-key", &text),
        _ => None,
    };
    request
}

#[test]
fn no_secret_is_in_an_event_a_problem_or_the_log() {
    let test = TestEdge::with(unlimited());
    let signatures = RefCell::new(Vec::<String>::new());
    let key = test.target.admin.reveal().to_owned();
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (prop::sample::select(&PLACES), prop::sample::select(&["", "a", "-", "x.y"][..]));
    let result = TestRunner::new(config).run(&strategy, |(place, around)| {
        let answer = block_on(test.handle(request(place, &key, around)));
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        prop_assert!(!body.contains(&key), "{place:?}: {body}");
        prop_assert!(!format!("{:?}", answer.headers).contains(&key), "{place:?}");
        prop_assert!(!body.contains(SECRET_ACCESS_KEY));
        let served = format!("{:?}", answer.extensions.get::<Served>().unwrap());
        prop_assert!(!served.contains(&key) && !served.contains("Signature="), "{served}");
        if answer.status == StatusCode::OK {
            prop_assert!(
                matches!(place, Place::Nowhere | Place::RequestId | Place::IdempotencyKey),
                "{place:?}"
            );
            for url in urls(&answer.json()) {
                signatures
                    .borrow_mut()
                    .push(ParsedUrl::of(url).parameter("X-Amz-Signature").unwrap().to_owned());
            }
        } else {
            prop_assert!(!body.contains("Signature="));
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));

    let log = serde_json::to_string(&block_on(test.commits())).unwrap();
    assert!(!log.contains(&key) && !log.contains(SECRET_ACCESS_KEY) && !log.contains("X-Amz-"));
    let signatures = signatures.into_inner();
    assert!(signatures.len() > 20, "too few grants to have tested the property");
    assert!(signatures.iter().all(|signature| !log.contains(signature)));
}

#[tokio::test]
async fn a_playback_signature_is_not_recorded() {
    let test = TestEdge::new();
    let answer = test.post("/playback-url?key=processed/acme/a.mp4", json!({ "format": "hls" })).await.json();
    let log = serde_json::to_string(&test.commits().await).unwrap();
    let seen = ParsedUrl::of(answer["hlsUrl"].as_str().unwrap());
    for name in ["Signature", "Policy", "Key-Pair-Id"] {
        assert!(!log.contains(seen.parameter(name).unwrap()), "{name}");
    }
}

#[test]
fn the_debug_output_of_the_configuration_holds_no_secret() {
    assert!(!format!("{:?}", config()).contains(SECRET_ACCESS_KEY));
}
