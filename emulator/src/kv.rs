//! Cloudflare's API for Workers KV: the bulk write, which the replication of tenants uses
//! (<https://developers.cloudflare.com/api/resources/kv/subresources/namespaces/methods/bulk_update/>). Written values are
//! sent to the namespace of the running Worker.
//!
//! Not emulated: the delay of up to a minute until a value is visible worldwide, the limit of one write per second and key,
//! expirations and metadata (requests with them are refused), all other calls.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http_listener;

/// The maximum number of values of one call.
const MAX_PAIRS: usize = 10_000;
/// The maximum length of a key, in bytes.
const MAX_KEY_BYTES: usize = 512;

/// The account, the namespace and the API token. Others do not exist.
#[derive(Clone)]
pub struct KvConfig {
    /// The id of the account.
    pub account_id: String,
    /// The id of the namespace.
    pub namespace_id: String,
    /// The token that may write to the namespace.
    pub api_token: String,
}

impl std::fmt::Debug for KvConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { account_id, namespace_id, .. } = self;
        write!(formatter, "KvConfig({account_id}/{namespace_id})")
    }
}

/// Values by key.
pub type Records = BTreeMap<String, String>;

/// A running API. It stops when it is dropped.
#[derive(Debug)]
pub struct Kv {
    endpoint: String,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    config: KvConfig,
    values: Mutex<Records>,
    to: mpsc::UnboundedSender<Records>,
    /// The number of calls that will be throttled.
    throttle: AtomicUsize,
    /// The number of calls that were throttled.
    throttled: AtomicUsize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    key: String,
    value: String,
}

impl Kv {
    /// Starts the API. Written values are also sent to `to`.
    pub async fn start(config: KvConfig, to: mpsc::UnboundedSender<Records>) -> io::Result<Self> {
        let listener = http_listener::bind().await?;
        let endpoint = http_listener::url(&listener)?;
        let shared = Arc::new(Shared {
            config,
            values: Mutex::default(),
            to,
            throttle: AtomicUsize::new(0),
            throttled: AtomicUsize::new(0),
        });
        let stop = CancellationToken::new();
        let handler = Arc::clone(&shared);
        tokio::spawn(http_listener::serve(listener, stop.clone(), move |request| {
            let shared = Arc::clone(&handler);
            async move { Ok(shared.handle(&request)) }
        }));
        Ok(Self { endpoint, shared, _stop: stop.drop_guard() })
    }

    /// Returns the API's URL, which replaces `https://api.cloudflare.com`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns all values.
    pub fn values(&self) -> Records {
        self.shared.values.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Throttles the next `times` calls with status 429.
    pub fn throttle(&self, times: usize) {
        self.shared.throttle.store(times, Ordering::SeqCst);
    }

    /// Returns the number of throttled calls.
    pub fn throttled(&self) -> usize {
        self.shared.throttled.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn handle(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let KvConfig { account_id, namespace_id, api_token } = &self.config;
        let path = format!("/client/v4/accounts/{account_id}/storage/kv/namespaces/{namespace_id}/bulk");
        let authorized = request
            .headers()
            .get(AUTHORIZATION)
            .is_some_and(|value| value.as_bytes() == format!("Bearer {api_token}").as_bytes());
        if !authorized {
            return error_response(StatusCode::FORBIDDEN, 10000, "Authentication error");
        }
        if request.uri().path() != path {
            return error_response(StatusCode::NOT_FOUND, 7003, "Could not route to that path");
        }
        if request.method() != Method::PUT {
            return error_response(StatusCode::METHOD_NOT_ALLOWED, 10001, "Method not allowed");
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.throttle.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            self.throttled.fetch_add(1, Ordering::SeqCst);
            return error_response(
                StatusCode::TOO_MANY_REQUESTS,
                971,
                "Please wait and consider throttling your request speed",
            );
        }
        let pairs: Vec<Pair> = match serde_json::from_slice(request.body()) {
            Ok(pairs) => pairs,
            Err(error) => {
                return error_response(StatusCode::BAD_REQUEST, 10012, &format!("could not parse: {error}"));
            }
        };
        if pairs.len() > MAX_PAIRS
            || pairs.iter().any(|pair| pair.key.is_empty() || pair.key.len() > MAX_KEY_BYTES)
        {
            return error_response(StatusCode::BAD_REQUEST, 10147, "too many pairs, or an invalid key");
        }
        let records: Records = pairs.into_iter().map(|Pair { key, value }| (key, value)).collect();
        let count = records.len();
        self.values.lock().unwrap_or_else(PoisonError::into_inner).extend(records.clone());
        // The receiver is dropped first when the cloud stops.
        let _ = self.to.send(records);
        let result = json!({ "successful_key_count": count, "unsuccessful_keys": [] });
        respond(StatusCode::OK, &json!({ "success": true, "errors": [], "messages": [], "result": result }))
    }
}

fn error_response(status: StatusCode, code: u32, message: &str) -> Response<Bytes> {
    let errors = json!([{ "code": code, "message": message }]);
    respond(status, &json!({ "success": false, "errors": errors, "messages": [], "result": null }))
}

fn respond(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn put(kv: &Kv, token: &str, namespace: &str, body: &Value) -> (u16, Value) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/client/v4/accounts/a/storage/kv/namespaces/{namespace}/bulk", kv.endpoint());
        let response = http.put(url).bearer_auth(token).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    #[tokio::test]
    async fn writes_with_the_token_are_forwarded_and_others_are_refused() {
        let (to, mut records) = mpsc::unbounded_channel();
        let config = KvConfig {
            account_id: "a".to_owned(),
            namespace_id: "n".to_owned(),
            api_token: "token".to_owned(),
        };
        let kv = Kv::start(config, to).await.unwrap();
        let body = json!([{ "key": "k:1", "value": "one" }, { "key": "k:2", "value": "two" }]);
        let (status, refusal) = put(&kv, "another", "n", &body).await;
        assert_eq!((status, &refusal["success"]), (403, &json!(false)), "{refusal}");
        assert_eq!(put(&kv, "token", "other", &body).await.0, 404);
        assert_eq!(put(&kv, "token", "n", &json!({ "key": "k:1" })).await.0, 400);
        kv.throttle(1);
        assert_eq!(put(&kv, "token", "n", &body).await.0, 429);
        assert!(kv.values().is_empty());
        let (status, response) = put(&kv, "token", "n", &body).await;
        assert_eq!((status, &response["result"]["successful_key_count"]), (200, &json!(2)), "{response}");
        assert_eq!(records.recv().await.unwrap(), kv.values());
        assert_eq!(kv.values()["k:2"], "two");
    }
}
