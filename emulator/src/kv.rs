//! Cloudflare's API for Workers KV, as far as the replication of tenants uses it: writing many values at once
//! (<https://developers.cloudflare.com/api/resources/kv/subresources/namespaces/methods/bulk_update/>). What is written
//! comes to the running Worker's namespace within moments.
//!
//! What is not shown: the minute that a value may take around the world, one write a second for each key, expirations and
//! metadata (they are refused, because nothing here uses them), and every other call.

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

/// The most values in one call.
const MOST: usize = 10_000;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 512;

/// The one namespace that there is.
#[derive(Clone)]
pub struct KvConfig {
    /// The account's id.
    pub account_id: String,
    /// The namespace's id.
    pub namespace_id: String,
    /// The token that may write to it.
    pub api_token: String,
}

impl std::fmt::Debug for KvConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { account_id, namespace_id, .. } = self;
        write!(formatter, "KvConfig({account_id}/{namespace_id})")
    }
}

/// Values by their names.
pub type Records = BTreeMap<String, String>;

/// A running API; it ends when it is dropped.
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
    /// How many calls are to be refused.
    refuse: AtomicUsize,
    /// How many were.
    refused: AtomicUsize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    key: String,
    value: String,
}

impl Kv {
    /// Starts it. What is written goes to `to`.
    pub async fn start(config: KvConfig, to: mpsc::UnboundedSender<Records>) -> io::Result<Self> {
        let listener = http_listener::bind().await?;
        let endpoint = http_listener::url(&listener)?;
        let shared = Arc::new(Shared {
            config,
            values: Mutex::default(),
            to,
            refuse: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let stop = CancellationToken::new();
        let answering = Arc::clone(&shared);
        tokio::spawn(http_listener::serve(listener, stop.clone(), move |request| {
            let shared = Arc::clone(&answering);
            async move { Ok(shared.answer(&request)) }
        }));
        Ok(Self { endpoint, shared, _stop: stop.drop_guard() })
    }

    /// Its URL, in place of `https://api.cloudflare.com`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All that was written.
    pub fn values(&self) -> Records {
        self.shared.values.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next `times` calls are answered as when too many come.
    pub fn refuse(&self, times: usize) {
        self.shared.refuse.store(times, Ordering::SeqCst);
    }

    /// How many calls were answered so.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let KvConfig { account_id, namespace_id, api_token } = &self.config;
        let path = format!("/client/v4/accounts/{account_id}/storage/kv/namespaces/{namespace_id}/bulk");
        let authorized = request
            .headers()
            .get(AUTHORIZATION)
            .is_some_and(|value| value.as_bytes() == format!("Bearer {api_token}").as_bytes());
        if !authorized {
            return refused(StatusCode::FORBIDDEN, 10000, "Authentication error");
        }
        if request.uri().path() != path {
            return refused(StatusCode::NOT_FOUND, 7003, "Could not route to that path");
        }
        if request.method() != Method::PUT {
            return refused(StatusCode::METHOD_NOT_ALLOWED, 10001, "Method not allowed");
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return refused(
                StatusCode::TOO_MANY_REQUESTS,
                971,
                "Please wait and consider throttling your request speed",
            );
        }
        let pairs: Vec<Pair> = match serde_json::from_slice(request.body()) {
            Ok(pairs) => pairs,
            Err(error) => {
                return refused(StatusCode::BAD_REQUEST, 10012, &format!("could not parse: {error}"));
            }
        };
        if pairs.len() > MOST || pairs.iter().any(|pair| pair.key.is_empty() || pair.key.len() > LONGEST_NAME)
        {
            return refused(StatusCode::BAD_REQUEST, 10147, "too many pairs, or a key that is none");
        }
        let records: Records = pairs.into_iter().map(|Pair { key, value }| (key, value)).collect();
        let count = records.len();
        self.values.lock().unwrap_or_else(PoisonError::into_inner).extend(records.clone());
        // Nobody takes it any more when everything is ending.
        let _ = self.to.send(records);
        let result = json!({ "successful_key_count": count, "unsuccessful_keys": [] });
        respond(StatusCode::OK, &json!({ "success": true, "errors": [], "messages": [], "result": result }))
    }
}

fn refused(status: StatusCode, code: u32, message: &str) -> Response<Bytes> {
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
        let answer = http.put(url).bearer_auth(token).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    #[tokio::test]
    async fn what_is_written_with_the_token_goes_on_and_nothing_else() {
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
        kv.refuse(1);
        assert_eq!(put(&kv, "token", "n", &body).await.0, 429);
        assert!(kv.values().is_empty());
        let (status, answer) = put(&kv, "token", "n", &body).await;
        assert_eq!((status, &answer["result"]["successful_key_count"]), (200, &json!(2)), "{answer}");
        assert_eq!(records.recv().await.unwrap(), kv.values());
        assert_eq!(kv.values()["k:2"], "two");
    }
}
