//! Tests against a server that imitates the API.

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const TOKEN: &str = "a-hidden-token";

/// A status, `Retry-After`, and a body.
type Planned = (u16, Option<&'static str>, Value);

/// The method and path, the authorization, and the records.
type Request = (String, Option<String>, Vec<Value>);

#[derive(Clone, Default)]
struct Api {
    /// The next responses; after them, success.
    planned: Arc<Mutex<VecDeque<Planned>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

async fn respond(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorization = headers.get("authorization").map(|it| it.to_str().unwrap().to_owned());
    let records = serde_json::from_slice(&body).unwrap();
    api.requests.lock().unwrap().push((format!("{method} {uri}"), authorization, records));
    let planned = api.planned.lock().unwrap().pop_front();
    let (status, retry_after, body) = planned.unwrap_or_else(|| (200, None, success(&[])));
    let mut response = (axum::http::StatusCode::from_u16(status).unwrap(), body.to_string()).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.parse().unwrap());
    }
    response
}

fn success(unsuccessful: &[&str]) -> Value {
    json!({
        "success": true, "errors": [], "messages": [],
        "result": { "successful_key_count": 1, "unsuccessful_keys": unsuccessful },
    })
}

fn failure(code: i64, message: &str) -> Value {
    json!({ "success": false, "errors": [{ "code": code, "message": message }], "messages": [], "result": null })
}

struct TestApi {
    api: Api,
    kv: CloudflareKv,
    server: JoinHandle<()>,
}

impl TestApi {
    async fn start(planned: impl IntoIterator<Item = Planned>) -> Self {
        let api = Api::default();
        api.planned.lock().unwrap().extend(planned);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        // Bodies may be larger than the default limit.
        let router = Router::new()
            .fallback(respond)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(api.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mut kv = CloudflareKv::new(Kv {
            account_id: "account".to_owned(),
            namespace_id: "namespace".to_owned(),
            api_token: Secret::new(TOKEN),
            endpoint,
        })
        .unwrap();
        kv.min_pause = Duration::from_millis(1);
        Self { api, kv, server }
    }

    fn requests(&self) -> Vec<Request> {
        self.api.requests.lock().unwrap().clone()
    }
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn records(count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| (format!("k:{number}"), format!(r#"{{"version":{number}}}"#))).collect()
}

fn cause(error: &KvNamespaceError) -> String {
    let text = error.source().unwrap().to_string();
    assert!(!format!("{error:?} {text}").contains("hidden"), "{error:?}");
    text
}

#[tokio::test]
async fn records_are_put_in_one_request_with_the_token() {
    let test = TestApi::start([]).await;
    test.kv.put_all(records(2)).await.unwrap();
    let expected = (
        "PUT /client/v4/accounts/account/storage/kv/namespaces/namespace/bulk".to_owned(),
        Some(format!("Bearer {TOKEN}")),
        vec![
            json!({ "key": "k:0", "value": r#"{"version":0}"# }),
            json!({ "key": "k:1", "value": r#"{"version":1}"# }),
        ],
    );
    assert_eq!(test.requests(), [expected]);
    assert!(!format!("{:?}", test.kv).contains("hidden"));
}

#[tokio::test]
async fn without_records_no_request_is_made() {
    let test = TestApi::start([]).await;
    test.kv.put_all(Vec::new()).await.unwrap();
    assert!(test.requests().is_empty());
}

#[tokio::test]
async fn many_records_are_put_in_order_ten_thousand_per_request() {
    let test = TestApi::start([]).await;
    test.kv.put_all(records(20_001)).await.unwrap();
    let counts: Vec<usize> = test.requests().iter().map(|(_, _, records)| records.len()).collect();
    assert_eq!(counts, [10_000, 10_000, 1]);
    assert_eq!(test.requests()[2].2[0]["key"], "k:20000");
}

#[test]
fn a_request_stays_below_the_limit_of_bytes() {
    let large = |name: usize| (name.to_string(), "x".repeat(MAX_BYTES / 2));
    let counts: Vec<usize> = requests((0..3).map(large).collect()).iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 1, 1]);
}

#[tokio::test]
async fn of_two_records_with_one_key_the_later_is_put() {
    let test = TestApi::start([]).await;
    let record = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    test.kv.put_all(vec![record("a", "1"), record("b", "2"), record("a", "3")]).await.unwrap();
    let expected = vec![json!({ "key": "b", "value": "2" }), json!({ "key": "a", "value": "3" })];
    assert_eq!(test.requests()[0].2, expected);
}

#[tokio::test]
async fn a_retryable_failure_is_retried() {
    for planned in [(429, Some("0"), failure(10_429, "too many requests")), (200, None, success(&["k:1"]))] {
        let test = TestApi::start([planned]).await;
        test.kv.put_all(records(2)).await.unwrap();
        let [first, second] = &test.requests()[..] else { panic!("two requests") };
        assert_eq!(first.2, second.2, "all records again: harmless");
    }
}

/// A gateway that does not wait for the response says nothing about the request, which may take effect after the one that succeeds.
#[tokio::test]
async fn a_retry_after_a_request_that_may_take_effect_puts_the_records_and_is_not_the_last_write() {
    let test = TestApi::start([(502, None, json!("Bad Gateway"))]).await;
    let error = test.kv.put_all(records(10_001)).await.unwrap_err();
    assert_eq!(
        cause(&error),
        "Cloudflare's API put the records, but an earlier request that it did not confirm may still replace them"
    );
    let counts: Vec<usize> = test.requests().iter().map(|(_, _, records)| records.len()).collect();
    assert_eq!(counts, [10_000, 10_000, 1], "all records are put");
    test.kv.put_all(records(1)).await.unwrap();
}

#[tokio::test]
async fn a_long_retry_after_is_left_to_the_caller() {
    let test = TestApi::start([(429, Some("60"), failure(10_429, "too many requests"))]).await;
    let error = test.kv.put_all(records(1)).await.unwrap_err();
    assert_eq!(cause(&error), "Cloudflare's API responded 429 Too Many Requests: too many requests (10429)");
    assert_eq!(test.requests().len(), 1);
}

#[tokio::test]
async fn a_persistent_failure_is_returned_after_the_retries() {
    let test = TestApi::start(vec![(503, None, failure(1, "out of order")); 10]).await;
    let error = test.kv.put_all(records(1)).await.unwrap_err();
    assert_eq!(cause(&error), "Cloudflare's API responded 503 Service Unavailable: out of order (1)");
    assert_eq!(test.requests().len(), 1 + RETRIES);
}

#[tokio::test]
async fn a_refusal_is_returned_without_retry() {
    let test = TestApi::start([
        (403, None, failure(10_000, "Authentication error")),
        (200, None, failure(10_001, "odd")),
        (200, None, json!("<html>")),
    ])
    .await;
    let mut causes = Vec::new();
    for _ in 0..3 {
        causes.push(cause(&test.kv.put_all(records(1)).await.unwrap_err()));
    }
    assert_eq!(
        causes,
        [
            "Cloudflare's API responded 403 Forbidden: Authentication error (10000)",
            "Cloudflare's API responded 200 OK: odd (10001)",
            "Cloudflare's API responded 200 OK: not the JSON of the API",
        ]
    );
}

#[tokio::test]
async fn a_refused_connection_is_an_error() {
    let test = TestApi::start([]).await;
    let mut kv = test.kv.clone();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    kv.url = format!("http://{free}/");
    assert_eq!(cause(&kv.put_all(records(1)).await.unwrap_err()), "Cloudflare's API did not respond");
}
