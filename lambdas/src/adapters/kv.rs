//! The edge's key-value store, Workers KV, written through Cloudflare's REST API
//! (<https://developers.cloudflare.com/api/resources/kv/subresources/namespaces/methods/bulk_update/>).
//!
//! Many records go in one request. One that is refused for the moment (429, 5xx, some of its keys) or has no answer is made
//! again once, after what `Retry-After` says where that is short. More is for [`replication`](streamio_core::views::replication): what is not
//! put here is noted and put later, and nothing waits for it.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode, redirect};
use serde::{Deserialize, Serialize};

use crate::settings::{Kv, Secret};
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};

/// The most records of a request.
const MOST_RECORDS: usize = 10_000;

/// The most bytes of names and values in a request. The API takes 100 MB, with the JSON around them.
const MOST_BYTES: usize = 50_000_000;

/// How long one request may take. A store that hangs must leave a function the time to note what it lacks.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How often a request is made again.
const RETRIES: usize = 1;

/// The longest wait between requests.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A namespace at Cloudflare.
#[derive(Debug, Clone)]
pub struct CloudflareKv {
    client: Client,
    url: String,
    token: Secret,
    shortest_wait: Duration,
}

/// What came of a request that did not put all its records.
#[derive(Debug, thiserror::Error)]
enum KvError {
    #[error("Cloudflare's API has not answered")]
    NoAnswer(#[source] reqwest::Error),
    #[error("Cloudflare's API answered {status}: {reasons}")]
    Refused { status: StatusCode, reasons: String, retry_after: Option<Duration> },
    #[error("Cloudflare's API has not put {0} of the records")]
    NotAll(usize),
}

impl KvError {
    fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) | Self::NotAll(_) => true,
            Self::Refused { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
        }
    }

    /// How long to wait instead of `usual`; `None` when that is too long.
    fn wait(&self, usual: Option<Duration>) -> Option<Duration> {
        let asked = match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        };
        usual.map(|usual| asked.unwrap_or(usual)).filter(|wait| *wait <= LONGEST_WAIT)
    }
}

impl CloudflareKv {
    /// The namespace that `settings` name.
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
        Ok(Self { client, url, token: api_token, shortest_wait: Duration::from_millis(200) })
    }

    async fn put(&self, records: &[Pair]) -> Result<(), KvError> {
        let request = self.client.put(&self.url).bearer_auth(self.token.reveal()).json(records);
        let response = request.send().await.map_err(KvError::NoAnswer)?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let body = response.bytes().await.map_err(KvError::NoAnswer)?;
        let answer: Option<Answer> = serde_json::from_slice(&body).ok();
        match answer {
            Some(Answer { success: true, result, .. }) if status.is_success() => {
                match result.map_or(0, |result| result.unsuccessful_keys.len()) {
                    0 => Ok(()),
                    some => Err(KvError::NotAll(some)),
                }
            }
            answer => {
                let reasons = answer.map_or_else(|| "not in the API's form".to_owned(), Answer::reasons);
                Err(KvError::Refused { status, reasons, retry_after })
            }
        }
    }
}

/// Only the form in seconds, which is the one that Cloudflare sends.
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
struct Answer {
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

impl Answer {
    fn reasons(self) -> String {
        let reasons = self.errors.into_iter().map(|Reason { code, message }| format!("{message} ({code})"));
        reasons.collect::<Vec<_>>().join(", ")
    }
}

/// The records in the requests' portions. Of several under one name only the last is put: in one request nothing says
/// which of them would stay.
fn portions(records: Vec<(String, String)>) -> Vec<Vec<Pair>> {
    let last: HashMap<String, usize> =
        records.iter().enumerate().map(|(place, (key, _))| (key.clone(), place)).collect();
    let mut portions: Vec<Vec<Pair>> = Vec::new();
    let mut bytes = 0;
    for (place, (key, value)) in records.into_iter().enumerate() {
        if last[&key] != place {
            continue;
        }
        let size = key.len() + value.len();
        match portions.last_mut() {
            Some(portion) if portion.len() < MOST_RECORDS && bytes + size <= MOST_BYTES => {
                bytes += size;
                portion.push(Pair { key, value });
            }
            _ => {
                bytes = size;
                portions.push(vec![Pair { key, value }]);
            }
        }
    }
    portions
}

#[async_trait]
impl KvNamespace for CloudflareKv {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        for portion in portions(records) {
            let again = ExponentialBuilder::default()
                .with_min_delay(self.shortest_wait)
                .with_max_times(RETRIES)
                .with_jitter();
            (|| self.put(&portion))
                .retry(again)
                .when(KvError::may_pass)
                .adjust(KvError::wait)
                .await
                .map_err(|error| KvNamespaceError(error.into()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
