//! The edge's key-value store, Workers KV, written through Cloudflare's REST API
//! (<https://developers.cloudflare.com/api/resources/kv/subresources/namespaces/methods/bulk_update/>).
//!
//! Many records are put with one request. A request that is throttled, fails on the server, fails for some of its keys or gets
//! no response is retried once, after the pause of `Retry-After` if that is short. Further retries are up to
//! [`replication`](streamio_core::views::replication), which marks the project as pending and puts its records later.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode, redirect};
use serde::{Deserialize, Serialize};
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_events::secret::Secret;

use crate::settings::Kv;

/// The maximum number of records of a request.
const MAX_RECORDS: usize = 10_000;

/// The maximum size of keys and values in a request in bytes. The limit of the API, including the JSON around them, is 100 MB.
const MAX_BYTES: usize = 50_000_000;

/// The time limit of one request. It leaves the function time to mark the project as pending.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How often a request is retried.
const RETRIES: usize = 1;

/// The longest pause before a retry.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A namespace of Workers KV.
#[derive(Debug, Clone)]
pub struct CloudflareKv {
    client: Client,
    url: String,
    token: Secret,
    min_pause: Duration,
}

/// Why a request did not put all its records.
#[derive(Debug, thiserror::Error)]
enum KvError {
    #[error("Cloudflare's API did not respond")]
    NoResponse(#[source] reqwest::Error),
    #[error("Cloudflare's API responded {status}: {reasons}")]
    Refused { status: StatusCode, reasons: String, retry_after: Option<Duration> },
    #[error("Cloudflare's API did not put {0} of the records")]
    NotAll(usize),
    #[error(
        "Cloudflare's API put the records, but an earlier request that it did not confirm may still replace them"
    )]
    NotLast,
}

impl KvError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::NoResponse(_) | Self::NotAll(_) => true,
            Self::NotLast => false,
            Self::Refused { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
        }
    }

    /// Whether the request may take effect after this error: the server's own errors and those of gateways say nothing about that.
    fn may_take_effect(&self) -> bool {
        match self {
            Self::NoResponse(error) => !error.is_connect(),
            Self::Refused { status, .. } => status.is_server_error(),
            Self::NotAll(_) => false,
            Self::NotLast => true,
        }
    }

    /// The pause before the next retry: `Retry-After`, or else `default`. `None` if it is too long.
    fn pause(&self, default: Option<Duration>) -> Option<Duration> {
        let retry_after = match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        };
        default.map(|default| retry_after.unwrap_or(default)).filter(|pause| *pause <= MAX_PAUSE)
    }
}

impl CloudflareKv {
    /// The namespace of `settings`.
    pub fn new(settings: Kv) -> reqwest::Result<Self> {
        let Kv { account_id, namespace_id, api_token, endpoint } = settings;
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("streamio/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let endpoint = endpoint.trim_end_matches('/');
        let url =
            format!("{endpoint}/client/v4/accounts/{account_id}/storage/kv/namespaces/{namespace_id}/bulk");
        Ok(Self { client, url, token: api_token, min_pause: Duration::from_millis(200) })
    }

    async fn put(&self, records: &[Pair]) -> Result<(), KvError> {
        let request = self.client.put(&self.url).bearer_auth(self.token.reveal()).json(records);
        let response = request.send().await.map_err(KvError::NoResponse)?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let body = response.bytes().await.map_err(KvError::NoResponse)?;
        let response: Option<ApiResponse> = serde_json::from_slice(&body).ok();
        match response {
            Some(ApiResponse { success: true, result, .. }) if status.is_success() => {
                match result.map_or(0, |result| result.unsuccessful_keys.len()) {
                    0 => Ok(()),
                    some => Err(KvError::NotAll(some)),
                }
            }
            response => {
                let reasons =
                    response.map_or_else(|| "not the JSON of the API".to_owned(), ApiResponse::reasons);
                Err(KvError::Refused { status, reasons, retry_after })
            }
        }
    }
}

/// `Retry-After` in seconds, the form that Cloudflare sends.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[derive(Serialize)]
struct Pair {
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct ApiResponse {
    success: bool,
    #[serde(default)]
    errors: Vec<Reason>,
    #[serde(default)]
    result: Option<PutResult>,
}

#[derive(Deserialize)]
struct Reason {
    code: i64,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PutResult {
    unsuccessful_keys: Vec<String>,
}

impl ApiResponse {
    fn reasons(self) -> String {
        let reasons = self.errors.into_iter().map(|Reason { code, message }| format!("{message} ({code})"));
        reasons.collect::<Vec<_>>().join(", ")
    }
}

/// Splits `records` into requests within the limits. Of several records with one key only the last is put, because the order
/// within a request is undefined.
fn requests(records: Vec<(String, String)>) -> Vec<Vec<Pair>> {
    let last: HashMap<String, usize> =
        records.iter().enumerate().map(|(place, (key, _))| (key.clone(), place)).collect();
    let mut requests: Vec<Vec<Pair>> = Vec::new();
    let mut bytes = 0;
    for (place, (key, value)) in records.into_iter().enumerate() {
        if last[&key] != place {
            continue;
        }
        let size = key.len() + value.len();
        match requests.last_mut() {
            Some(request) if request.len() < MAX_RECORDS && bytes + size <= MAX_BYTES => {
                bytes += size;
                request.push(Pair { key, value });
            }
            _ => {
                bytes = size;
                requests.push(vec![Pair { key, value }]);
            }
        }
    }
    requests
}

#[async_trait]
impl KvNamespace for CloudflareKv {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        let mut is_last = true;
        for request in requests(records) {
            let backoff = ExponentialBuilder::default()
                .with_min_delay(self.min_pause)
                .with_max_times(RETRIES)
                .with_jitter();
            (|| self.put(&request))
                .retry(backoff)
                .when(KvError::is_retryable)
                .adjust(KvError::pause)
                .notify(|error, _| is_last &= !error.may_take_effect())
                .await
                .map_err(|error| KvNamespaceError(error.into()))?;
        }
        if is_last { Ok(()) } else { Err(KvNamespaceError(KvError::NotLast.into())) }
    }
}

#[cfg(test)]
mod tests;
