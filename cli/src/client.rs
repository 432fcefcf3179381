//! The API's client: typed calls with time-outs, retries and errors that say what to do.

pub(crate) mod error;
pub(crate) mod problem;
pub(crate) mod retry;
pub(crate) mod storage;
pub(crate) mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use streamio_events::api_key::ApiKey;
use streamio_events::id::{KeyId, VideoId};
use url::{Host, Url};

use self::error::ClientError;
use self::problem::Problem;
use self::retry::{Patience, retrying};
use self::wire::{CursorPage, PlaybackRequest, UploadGrant, UploadRequest, VideoAnswer};
use crate::exit::{Exit, Failure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The whole exchange of one API call, answer included.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("streamio/", env!("CARGO_PKG_VERSION"));
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Hears, as a sentence for people, that a call is tried again.
pub(crate) type Notices = Arc<dyn Fn(&str) + Send + Sync>;

/// Calls one API with one key. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    address: String,
    key_id: KeyId,
    notices: Notices,
}

/// Tells retries of one request from another request of the same content.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A key that nobody else has.
    pub(crate) fn random() -> Result<Self, Failure> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the operating system gave no random bytes: {error}"),
                "try again",
            )
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
    /// A client of the API at `base`, which ends in a slash.
    pub(crate) fn new(base: Url, key: &ApiKey, notices: Notices) -> Result<Self, Failure> {
        let unusable =
            |reason: String| Failure::new(Exit::Failed, format!("no HTTP client can be made: {reason}"), "");
        let mut value = HeaderValue::from_str(key.reveal())
            .map_err(|_| unusable("the API key is no header value".to_owned()))?;
        value.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", value);
        let http = builder(&base)
            .default_headers(headers)
            .timeout(CALL_TIMEOUT)
            // The key goes to this origin only, wherever a redirect points.
            .redirect(redirect::Policy::custom(|attempt| {
                let origin = attempt.previous().first().map(Url::origin);
                let same = origin.is_some_and(|origin| origin == attempt.url().origin());
                if same && attempt.previous().len() <= 5 { attempt.follow() } else { attempt.stop() }
            }))
            .build()
            .map_err(|error| unusable(error.without_url().to_string()))?;
        Ok(Self { http, address: address_of(&base), base, key_id: key.hash().key_id(), notices })
    }

    /// The API's address, as it is spoken of.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The id of the key in use.
    pub(crate) fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// `POST /upload-url`.
    pub(crate) async fn upload_url(
        &self,
        request: &UploadRequest,
        idempotency_key: &IdempotencyKey,
        patience: Patience,
    ) -> Result<UploadGrant, ClientError> {
        let body = serde_json::to_value(request).map_err(|error| self.unexpected(&error.to_string()))?;
        let url = self.url(&["upload-url"], &[])?;
        let call =
            Call { method: Method::POST, url, idempotency_key: Some(idempotency_key), body: Some(body) };
        self.decode(self.send(call, patience).await?)
    }

    /// `POST /playback-url`.
    pub(crate) async fn playback_url(&self, request: &PlaybackRequest) -> Result<Value, ClientError> {
        let key = IdempotencyKey::random().map_err(|failure| self.unexpected(&failure.what))?;
        let url = self.url(&["playback-url"], &[("key", Some(request.key.as_str()))])?;
        let body = serde_json::to_value(request).map_err(|error| self.unexpected(&error.to_string()))?;
        self.send(
            Call { method: Method::POST, url, idempotency_key: Some(&key), body: Some(body) },
            Patience::Brief,
        )
        .await
    }

    /// `GET /videos/{id}`, at an earlier time with `as_of`.
    pub(crate) async fn video(
        &self,
        id: &VideoId,
        as_of: Option<&str>,
        patience: Patience,
    ) -> Result<VideoAnswer, ClientError> {
        let url = self.url(&["videos", id.as_str()], &[("asOf", as_of)])?;
        let raw =
            self.send(Call { method: Method::GET, url, idempotency_key: None, body: None }, patience).await?;
        Ok(VideoAnswer { status: self.decode(raw.clone())?, raw })
    }

    /// One page of `GET /videos`.
    pub(crate) async fn videos(
        &self,
        state: Option<&str>,
        limit: Option<u32>,
        after: Option<&str>,
    ) -> Result<CursorPage, ClientError> {
        let limit = limit.map(|limit| limit.to_string());
        self.page(&["videos"], &[("state", state), ("limit", limit.as_deref()), ("after", after)]).await
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

    /// `DELETE /videos/{id}`. The answer is the status, or null where the API answers without a body.
    pub(crate) async fn delete(&self, id: &VideoId) -> Result<Value, ClientError> {
        let key = IdempotencyKey::random().map_err(|failure| self.unexpected(&failure.what))?;
        let url = self.url(&["videos", id.as_str()], &[])?;
        self.send(
            Call { method: Method::DELETE, url, idempotency_key: Some(&key), body: None },
            Patience::Brief,
        )
        .await
    }

    /// `POST /videos/{id}/reprocess`.
    pub(crate) async fn reprocess(&self, id: &VideoId) -> Result<VideoAnswer, ClientError> {
        let key = IdempotencyKey::random().map_err(|failure| self.unexpected(&failure.what))?;
        let url = self.url(&["videos", id.as_str(), "reprocess"], &[])?;
        let call = Call { method: Method::POST, url, idempotency_key: Some(&key), body: None };
        let raw = self.send(call, Patience::Brief).await?;
        Ok(VideoAnswer { status: self.decode(raw.clone())?, raw })
    }

    async fn page(&self, path: &[&str], query: &[(&str, Option<&str>)]) -> Result<CursorPage, ClientError> {
        let url = self.url(path, query)?;
        let call = Call { method: Method::GET, url, idempotency_key: None, body: None };
        self.decode(self.send(call, Patience::Brief).await?)
    }

    fn url(&self, path: &[&str], query: &[(&str, Option<&str>)]) -> Result<Url, ClientError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| self.unexpected("its address takes no paths"))?
            .pop_if_empty()
            .extend(path);
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(url)
    }

    async fn send(&self, call: Call<'_>, patience: Patience) -> Result<Value, ClientError> {
        let notice = |error: &ClientError, wait: Duration| (self.notices)(&again(error, wait));
        retrying(patience, notice, || self.exchange(&call)).await
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<Value, ClientError> {
        let mut request = self.http.request(call.method.clone(), call.url.clone());
        if let Some(key) = call.idempotency_key {
            request = request.header("idempotency-key", &key.0);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let failed = |error| ClientError::of_exchange(&self.address, error);
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let request_id = header(&answer, &REQUEST_ID);
        let retry_after = header(&answer, &RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        if status.is_redirection() {
            return Err(self.unexpected(&format!("it redirects elsewhere (HTTP {})", status.as_u16())));
        }
        let body = answer.bytes().await.map_err(failed)?;
        if !status.is_success() {
            let problem = Problem::read(status.as_u16(), &body, request_id.as_deref(), retry_after);
            return Err(ClientError::Problem(Box::new(problem)));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| self.unexpected("it is not JSON"))
    }

    fn decode<T: DeserializeOwned>(&self, value: Value) -> Result<T, ClientError> {
        serde_json::from_value(value).map_err(|error| self.unexpected(&error.to_string()))
    }

    fn unexpected(&self, reason: &str) -> ClientError {
        ClientError::Unexpected { address: self.address.clone(), reason: reason.to_owned() }
    }
}

/// What is said when a call is tried again after `wait`.
pub(crate) fn again(error: &ClientError, wait: Duration) -> String {
    format!("{error}; trying again in {:.1} s", wait.as_secs_f64())
}

/// What every connection of this command has in common.
pub(crate) fn builder(peer: &Url) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT);
    // A proxy of the environment leads out of this machine, and cannot lead back into it.
    if is_loopback(peer) { builder.no_proxy() } else { builder }
}

/// Scheme, host and port of `url`, which are safe to show.
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

/// Whether the API key would cross a network unencrypted.
pub(crate) fn is_exposed(base: &Url) -> bool {
    base.scheme() == "http" && !is_loopback(base)
}

fn header(answer: &Response, name: &HeaderName) -> Option<String> {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
