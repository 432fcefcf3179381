//! The API client: typed calls with timeouts and retries.

mod audit;
pub(crate) mod error;
pub(crate) mod option_names;
pub(crate) mod problem;
pub(crate) mod retry;
pub(crate) mod webhooks;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, redirect};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use streamio_events::api_key::ApiKey;
use streamio_events::id::{KeyId, VideoId};
use streamio_events::object_key::ProcessedKey;
use url::{Host, Url};

use self::error::ClientError;
use self::problem::Problem;
use self::retry::{RetryPolicy, with_retries};
use self::wire::{
    CursorPage, FeedPage, PlaybackRequest, UploadGrant, UploadRequest, VideoFilter, VideoResponse,
};
use crate::exit::{Exit, Failure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of one API call, including its response body.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("streamio/", env!("CARGO_PKG_VERSION"));
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Called with a message before a call is retried.
pub(crate) type OnRetry = Arc<dyn Fn(&str) + Send + Sync>;

/// A client of one API with one key. Clones share connections.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    address: String,
    key_id: KeyId,
    on_retry: OnRetry,
}

/// The value of the `Idempotency-Key` header: the same for all retries of a request.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A random key.
    pub(crate) fn random() -> Result<Self, Failure> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot generate random bytes: {error}"), "try again")
        })?;
        Ok(Self(HEXLOWER.encode(&bytes)))
    }
}

struct Call<'a> {
    method: Method,
    url: Url,
    idempotency_key: Option<&'a IdempotencyKey>,
    body: Option<Value>,
}

impl Client {
    /// A client of the API at `base`, which must end with a slash.
    pub(crate) fn new(base: Url, key: &ApiKey, on_retry: OnRetry) -> Result<Self, Failure> {
        let unusable = |reason: String| {
            Failure::new(Exit::Failed, format!("cannot create an HTTP client: {reason}"), "")
        };
        let mut value = HeaderValue::from_str(key.reveal())
            .map_err(|_| unusable("the API key is not a valid header value".to_owned()))?;
        value.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", value);
        let http = http_client_builder(&base)
            .default_headers(headers)
            .timeout(CALL_TIMEOUT)
            // Only redirects within the same origin are followed, so that the key is sent to no other host.
            .redirect(redirect::Policy::custom(|attempt| {
                let origin = attempt.previous().first().map(Url::origin);
                let same = origin.is_some_and(|origin| origin == attempt.url().origin());
                if same && attempt.previous().len() <= 5 { attempt.follow() } else { attempt.stop() }
            }))
            .build()
            .map_err(|error| unusable(error.without_url().to_string()))?;
        Ok(Self { http, address: address_of(&base), base, key_id: key.hash().key_id(), on_retry })
    }

    /// Scheme, host and port of the API, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The id of the API key.
    pub(crate) fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// `POST /upload-url`.
    pub(crate) async fn upload_url(
        &self,
        request: &UploadRequest,
        idempotency_key: &IdempotencyKey,
        policy: RetryPolicy,
    ) -> Result<UploadGrant, ClientError> {
        let body = serde_json::to_value(request).map_err(|error| self.unexpected(&error.to_string()))?;
        let url = self.url(&["upload-url"], &[])?;
        let call =
            Call { method: Method::POST, url, idempotency_key: Some(idempotency_key), body: Some(body) };
        self.decode(self.send(call, policy).await?)
    }

    /// `POST /playback-url`.
    pub(crate) async fn playback_url(
        &self,
        key: &ProcessedKey,
        request: &PlaybackRequest,
    ) -> Result<Value, ClientError> {
        self.playback(self.url(&["playback-url"], &[("key", Some(key.as_str()))])?, request).await
    }

    /// `POST /videos/{id}/playback`.
    pub(crate) async fn video_playback(
        &self,
        id: &VideoId,
        request: &PlaybackRequest,
    ) -> Result<Value, ClientError> {
        self.playback(self.url(&["videos", id.as_str(), "playback"], &[])?, request).await
    }

    async fn playback(&self, url: Url, request: &PlaybackRequest) -> Result<Value, ClientError> {
        let key = IdempotencyKey::random().map_err(|failure| self.unexpected(&failure.message))?;
        let body = serde_json::to_value(request).map_err(|error| self.unexpected(&error.to_string()))?;
        self.send(
            Call { method: Method::POST, url, idempotency_key: Some(&key), body: Some(body) },
            RetryPolicy::Brief,
        )
        .await
    }

    /// `GET /videos/{id}`, with `as_of` its state at an earlier time.
    pub(crate) async fn video(
        &self,
        id: &VideoId,
        as_of: Option<&str>,
        policy: RetryPolicy,
    ) -> Result<VideoResponse, ClientError> {
        let url = self.url(&["videos", id.as_str()], &[("asOf", as_of)])?;
        let raw =
            self.send(Call { method: Method::GET, url, idempotency_key: None, body: None }, policy).await?;
        Ok(VideoResponse { status: self.decode(raw.clone())?, raw })
    }

    /// One page of `GET /videos`.
    pub(crate) async fn videos(
        &self,
        filter: &VideoFilter<'_>,
        limit: Option<u32>,
        after: Option<&str>,
    ) -> Result<CursorPage, ClientError> {
        let limit = limit.map(|limit| limit.to_string());
        let mut query = vec![
            ("state", filter.state),
            ("prefix", filter.prefix),
            ("limit", limit.as_deref()),
            ("after", after),
        ];
        let names: Vec<_> = filter.metadata.iter().map(|(key, _)| format!("metadata.{key}")).collect();
        let values = filter.metadata.iter().map(|(_, value)| Some(value.as_str()));
        query.extend(names.iter().map(String::as_str).zip(values));
        self.page(&["videos"], &query).await
    }

    /// One page of `GET /videos/{id}/events`.
    pub(crate) async fn video_events(
        &self,
        id: &VideoId,
        limit: Option<u32>,
        after: Option<&str>,
    ) -> Result<CursorPage, ClientError> {
        let limit = limit.map(|limit| limit.to_string());
        self.page(&["videos", id.as_str(), "events"], &[("limit", limit.as_deref()), ("after", after)]).await
    }

    /// One page of `GET /events`.
    pub(crate) async fn feed(
        &self,
        after: Option<&str>,
        limit: u32,
        policy: RetryPolicy,
    ) -> Result<FeedPage, ClientError> {
        let url = self.url(&["events"], &[("limit", Some(&limit.to_string())), ("after", after)])?;
        let call = Call { method: Method::GET, url, idempotency_key: None, body: None };
        self.decode(self.send(call, policy).await?)
    }

    /// `DELETE /videos/{id}`. Returns the status view, or null if the response has no body.
    pub(crate) async fn delete(&self, id: &VideoId) -> Result<Value, ClientError> {
        let key = IdempotencyKey::random().map_err(|failure| self.unexpected(&failure.message))?;
        let url = self.url(&["videos", id.as_str()], &[])?;
        self.send(
            Call { method: Method::DELETE, url, idempotency_key: Some(&key), body: None },
            RetryPolicy::Brief,
        )
        .await
    }

    /// `PATCH /videos/{id}` with changes of the metadata, where `None` removes an entry.
    pub(crate) async fn update(
        &self,
        id: &VideoId,
        metadata: &BTreeMap<&str, Option<&str>>,
    ) -> Result<VideoResponse, ClientError> {
        let key = IdempotencyKey::random().map_err(|failure| self.unexpected(&failure.message))?;
        let url = self.url(&["videos", id.as_str()], &[])?;
        let body = Some(json!({ "metadata": metadata }));
        let call = Call { method: Method::PATCH, url, idempotency_key: Some(&key), body };
        let raw = self.send(call, RetryPolicy::Brief).await?;
        Ok(VideoResponse { status: self.decode(raw.clone())?, raw })
    }

    /// `POST /videos/{id}/reprocess`.
    pub(crate) async fn reprocess(&self, id: &VideoId) -> Result<VideoResponse, ClientError> {
        let key = IdempotencyKey::random().map_err(|failure| self.unexpected(&failure.message))?;
        let url = self.url(&["videos", id.as_str(), "reprocess"], &[])?;
        let call = Call { method: Method::POST, url, idempotency_key: Some(&key), body: None };
        let raw = self.send(call, RetryPolicy::Brief).await?;
        Ok(VideoResponse { status: self.decode(raw.clone())?, raw })
    }

    async fn page(&self, path: &[&str], query: &[(&str, Option<&str>)]) -> Result<CursorPage, ClientError> {
        let url = self.url(path, query)?;
        let call = Call { method: Method::GET, url, idempotency_key: None, body: None };
        self.decode(self.send(call, RetryPolicy::Brief).await?)
    }

    fn url(&self, path: &[&str], query: &[(&str, Option<&str>)]) -> Result<Url, ClientError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| self.unexpected("its address cannot have a path"))?
            .pop_if_empty()
            .extend(path);
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(url)
    }

    async fn send(&self, call: Call<'_>, policy: RetryPolicy) -> Result<Value, ClientError> {
        let notify = |error: &ClientError, wait: Duration| (self.on_retry)(&retry_message(error, wait));
        with_retries(policy, notify, || self.exchange(&call)).await
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<Value, ClientError> {
        let body = self.exchange_bytes(call).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| self.unexpected("it is not JSON"))
    }

    async fn exchange_bytes(&self, call: &Call<'_>) -> Result<Vec<u8>, ClientError> {
        let mut request = self.http.request(call.method.clone(), call.url.clone());
        if let Some(key) = call.idempotency_key {
            request = request.header("idempotency-key", &key.0);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let failed = |error| ClientError::from_request_error(&self.address, error);
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let request_id = header(&response, &REQUEST_ID);
        let retry_after = header(&response, &RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        if status.is_redirection() {
            return Err(self.unexpected(&format!("it redirects to another host (HTTP {})", status.as_u16())));
        }
        let body = response.bytes().await.map_err(failed)?;
        if !status.is_success() {
            let problem = Problem::parse(status.as_u16(), &body, request_id.as_deref(), retry_after);
            return Err(ClientError::Problem(Box::new(problem)));
        }
        Ok(body.into())
    }

    fn decode<T: DeserializeOwned>(&self, value: Value) -> Result<T, ClientError> {
        serde_json::from_value(value).map_err(|error| self.unexpected(&error.to_string()))
    }

    fn unexpected(&self, reason: &str) -> ClientError {
        ClientError::Unexpected { address: self.address.clone(), reason: reason.to_owned() }
    }
}

/// The message before a call is retried after `wait`.
pub(crate) fn retry_message(error: &ClientError, wait: Duration) -> String {
    format!("{error}; trying again in {:.1} s", wait.as_secs_f64())
}

/// A client builder with the settings common to all connections to `peer`.
pub(crate) fn http_client_builder(peer: &Url) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT);
    // A proxy from the environment cannot reach a server on this machine's loopback interface.
    if is_loopback(peer) { builder.no_proxy() } else { builder }
}

/// Scheme, host and port of `url`, without secrets.
pub(crate) fn address_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Whether the API key would be sent over a network unencrypted.
pub(crate) fn is_unencrypted(base: &Url) -> bool {
    base.scheme() == "http" && !is_loopback(base)
}

fn header(response: &Response, name: &HeaderName) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
