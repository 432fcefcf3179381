//! Arbitrary requests get a response that is not a 5xx.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value};

use crate::config::unlimited;
use crate::test_edge::{TestEdge, block_on};

const PATHS: [&str; 13] = [
    "/upload-url",
    "/playback-url",
    "/videos",
    "/videos/vid_tbkj5m62dvafwldlqbvftya3f3",
    "/videos/vid_tbkj5m62dvafwldlqbvftya3f3/events",
    "/videos/vid_tbkj5m62dvafwldlqbvftya3f3/reprocess",
    "/videos/x",
    "/events",
    "/play/processed/acme/a.mp4.hls/master.m3u8",
    "/openapi.json",
    "/healthz",
    "/problems/unavailable",
    "/",
];
/// Paths of calls with a body.
const BODY_PATHS: [&str; 3] =
    ["/upload-url", "/playback-url", "/videos/vid_tbkj5m62dvafwldlqbvftya3f3/reprocess"];
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT"];
const FIELDS: [&str; 16] = [
    "filename",
    "path",
    "contentType",
    "size",
    "sha256",
    "overwrite",
    "metadata",
    "multipart",
    "uploadId",
    "expiresIn",
    "ttl",
    "startsAt",
    "ip",
    "format",
    "x",
    "__proto__",
];
const HEADERS: [&str; 8] = [
    "x-api-key",
    "x-request-id",
    "idempotency-key",
    "content-type",
    "origin",
    "access-control-request-method",
    "content-length",
    "x-forwarded-for",
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0u64..100_000_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[a-z]{1,8}(/[a-z0-9]{1,8})?".prop_map(Value::from),
        "(19[67]|20[0-4])[0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:00:00(Z|\\+01:00)".prop_map(Value::from),
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(/[0-9]{1,2})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z-]{0,4}", inner), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let object =
        prop::collection::vec((prop::sample::select(&FIELDS), json_value()), 0..6).prop_map(|fields| {
            let object: Map<String, Value> =
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Value::Object(object).to_string().into_bytes()
        });
    prop_oneof![
        4 => object,
        1 => json_value().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
        1 => Just(Vec::new()),
        1 => (65_530usize..65_545).prop_map(|length| vec![b' '; length]),
    ]
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let query = prop_oneof![
        Just(String::new()),
        "(key=processed/acme/[a-z%./]{1,12}|limit=[0-9a-z]{0,4}|after=[0-9a-z.]{0,4}|asOf=[0-9TZ:-]{0,24}|state=[a-z]{0,8}|(Policy|Signature|Key-Pair-Id)=[!-~]{0,8}|[!-~]{0,12})(&[!-~]{0,12})?"
            .prop_map(|query| format!("?{query}")),
    ];
    prop_oneof![
        6 => (prop::sample::select(&PATHS), query).prop_map(|(path, query)| format!("{path}{query}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| [b"/", &bytes[..]].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn method() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(&METHODS).prop_map(|method| method.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..8),
    ]
}

/// A method and a target. A third are calls with a body, so that invalid bodies are frequent.
fn method_and_target() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let with_body =
        prop::sample::select(&BODY_PATHS).prop_map(|path| (b"POST".to_vec(), path.as_bytes().to_vec()));
    prop_oneof![2 => (method(), target()), 1 => with_body]
}

type Headers = Vec<(&'static str, Vec<u8>)>;

fn headers() -> impl Strategy<Value = Headers> {
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..24),
        Just(b"application/json".to_vec()),
        Just(b"https://app.example".to_vec()),
        "sio_live_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}".prop_map(String::into_bytes),
        // Parts of JSON syntax.
        r#"[,:"{}\\]{1,2}"#.prop_map(String::into_bytes),
    ];
    let content_type =
        prop_oneof![Just("application/json"), Just("text/plain"), Just("application/json, text/plain")]
            .prop_map(|value| ("content-type", value.as_bytes().to_vec()));
    let header = prop_oneof![6 => (prop::sample::select(&HEADERS), value), 1 => content_type];
    prop::collection::vec(header, 0..4)
}

#[test]
fn arbitrary_bytes_cause_no_panic_and_no_5xx() {
    let test = TestEdge::with(unlimited());
    block_on(test.ready_video());
    let mut observed = std::collections::BTreeMap::new();
    let statuses = std::cell::RefCell::new(&mut observed);
    let config = ProptestConfig { cases: 4_500, failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (method_and_target(), headers(), body(), prop::bool::weighted(0.8));
    let result = TestRunner::new(config).run(&strategy, |((method, target), headers, body, has_key)| {
        // Servers accept only requests that parse.
        let Ok(method) = Method::from_bytes(&method) else { return Ok(()) };
        let Ok(uri) = Uri::try_from(target) else { return Ok(()) };
        let mut request = Request::builder().method(method).uri(uri).body(Bytes::from(body)).unwrap();
        if has_key {
            request
                .headers_mut()
                .insert("x-api-key", HeaderValue::from_str(test.target.admin.reveal()).unwrap());
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        // This also validates the response against the description.
        let answer = block_on(test.handle(request));
        prop_assert!(!answer.status.is_server_error(), "{:?}", answer);
        *statuses.borrow_mut().entry(answer.status.as_u16()).or_insert(0) += 1;
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    for expected in [200, 400, 401, 404, 405, 413, 415, 422] {
        assert!(
            observed.contains_key(&expected),
            "no response was {expected}, so the property was hardly tested: {observed:?}"
        );
    }
}
