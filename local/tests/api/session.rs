//! One run of a scenario with a target: sends its requests and records the transcript.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use serde_json::Value;
use streamio_events::api_key::ApiKey;
use streamio_local::workerd::WorkerJournal;
use tokio::time::Instant;

use crate::exchange::{ApiResponse, printable, to_text};
use crate::http_client::{self, Framing};
use crate::placeholders::Placeholders;
use crate::projects::Keys;
use crate::storage::path_and_query;
use crate::target::{Target, authority};

/// How long to wait for something that completes after a response: a grant in a queue, a reaction.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// The pauses between polls: short at first, then longer, because requests have a quota.
const PAUSES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(500);

/// One run of a scenario.
pub(crate) struct Session<'a> {
    target: &'a Target,
    transcript: RefCell<Transcript>,
}

struct Transcript {
    placeholders: Placeholders,
    text: String,
}

impl<'a> Session<'a> {
    pub(crate) fn new(target: &'a Target) -> Self {
        let placeholders = Placeholders::new(target);
        Self { target, transcript: RefCell::new(Transcript { placeholders, text: String::new() }) }
    }

    /// The transcript, with placeholders.
    pub(crate) fn transcript(self) -> String {
        self.transcript.into_inner().text
    }

    pub(crate) fn keys(&self) -> &'a Keys {
        &self.target.keys
    }

    /// Whether the API is the Worker, whose runtime differs in some cases (`scenarios/runtime.rs`).
    pub(crate) fn is_on_workerd(&self) -> bool {
        self.target.journal.is_some()
    }

    /// Whether a repeated request is signed again. It is if the journal is a queue, which cannot be read.
    pub(crate) fn forgets_grants(&self) -> bool {
        self.target.journal == Some(WorkerJournal::Queue)
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }

    /// Builds a request with the key [`Keys::acme`].
    pub(crate) fn call(&self, method: Method, path: &str) -> Call<'_> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_else(|error| panic!("{error}: {path}"));
        Call { session: self, request }.key(&self.keys().acme)
    }

    /// Sends a request and records it.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> ApiResponse {
        let request_text = line(&request);
        let response = self.send_unrecorded(request.clone()).await;
        self.record(request.method(), &request_text, &response);
        response
    }

    /// Sends a request without recording it.
    pub(crate) async fn send_unrecorded(&self, request: Request<Bytes>) -> ApiResponse {
        let response = ApiResponse::of(self.target.send(request).await);
        self.target.secrets.add_signatures(&printable(&response.body));
        response
    }

    /// Sends a request to a URL of a response, at the object store or the CDN, and records it.
    pub(crate) async fn follow(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> ApiResponse {
        let mut request = Request::builder().method(&method).uri(path_and_query(url));
        for (name, value) in headers {
            // The client adds the length.
            if *name != "content-length" {
                request = request.header(*name, *value);
            }
        }
        let request = request.body(Bytes::copy_from_slice(body)).unwrap();
        let response = ApiResponse::of(http_client::send(authority(url), request).await);
        self.target.secrets.add_signatures(&printable(&response.body));
        // Of a refusal only the code is recorded: these servers have their own tests.
        let body =
            if response.status.is_success() { response.body.clone() } else { error_code(&response.body) };
        let recorded = ApiResponse { headers: HeaderMap::new(), body, ..response.clone() };
        self.record(&method, &format!("{method} {url}\n"), &recorded);
        response
    }

    /// The API's URL of `path`.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("{}{path}", self.target.addresses.api)
    }

    /// The unsigned CDN URL of `path`.
    pub(crate) fn cdn(&self, path: &str) -> String {
        format!("{}{path}", self.target.addresses.cdn)
    }

    /// The unsigned URL of `path` at the object store.
    pub(crate) fn store(&self, path: &str) -> String {
        format!("{}{path}", self.target.addresses.s3)
    }

    /// Adds a text that no log may contain.
    pub(crate) fn keep_secret(&self, text: &str) {
        self.target.secrets.add(text);
    }

    /// Gets a URL of the object store or the CDN without recording it.
    pub(crate) async fn follow_unrecorded(&self, url: &str) -> ApiResponse {
        let request = Request::get(path_and_query(url)).body(Bytes::new()).unwrap();
        ApiResponse::of(http_client::send(authority(url), request).await)
    }

    /// Puts a part of an upload. Returns its entity tag.
    pub(crate) async fn store_part(&self, url: &str, content: &[u8]) -> String {
        let request = Request::put(path_and_query(url)).body(Bytes::copy_from_slice(content)).unwrap();
        let response = ApiResponse::of(http_client::send(authority(url), request).await).expect(200);
        response.header("etag").unwrap().to_owned()
    }

    /// Puts an object into the processed bucket, as a worker does.
    pub(crate) async fn publish(&self, key: &str, content_type: &str, content: &str) {
        self.target.storage.publish(key, content_type, content).await;
    }

    fn record(&self, method: &Method, request_text: &str, response: &ApiResponse) {
        let mut transcript = self.transcript.borrow_mut();
        let Transcript { placeholders, text } = &mut *transcript;
        let exchange = format!("> {request_text}< {}\n", to_text(method, response));
        write!(text, "{}", placeholders.replace_in(&exchange)).unwrap();
    }
}

/// The element `Code` of an error in the XML format of S3 and CloudFront; the whole body if there is none.
fn error_code(body: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or_else(|| body.clone(), |(code, _)| Bytes::from(code.to_owned()))
}

/// The text of a request in the transcript: without the API key, and without the body, which no target changes.
fn line(request: &Request<Bytes>) -> String {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers().iter().filter(|(name, _)| *name != "x-api-key") {
        writeln!(text, "  {name}: {}", printable(value.as_bytes())).unwrap();
    }
    text
}

/// Builds and sends a request.
pub(crate) struct Call<'a> {
    session: &'a Session<'a>,
    request: Request<Bytes>,
}

impl Call<'_> {
    /// Uses this API key.
    pub(crate) fn key(mut self, key: &ApiKey) -> Self {
        let value = HeaderValue::from_str(key.reveal()).unwrap();
        self.request.headers_mut().insert("x-api-key", value);
        self
    }

    pub(crate) fn without_key(mut self) -> Self {
        self.request.headers_mut().remove("x-api-key");
        self
    }

    /// Adds a header. Its value may be any bytes.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.request.headers_mut().append(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    pub(crate) fn framing(mut self, framing: Framing) -> Self {
        self.request.extensions_mut().insert(framing);
        self
    }

    pub(crate) async fn send(self) -> ApiResponse {
        self.session.send(self.request).await
    }

    /// Sends it without recording it.
    pub(crate) async fn send_unrecorded(self) -> ApiResponse {
        self.session.send_unrecorded(self.request).await
    }

    /// Sends it until the response is accepted. Records only that response.
    pub(crate) async fn until(self, is_accepted: impl Fn(&ApiResponse) -> bool) -> ApiResponse {
        let (session, request) = (self.session, self.request.clone());
        let response = self.until_unrecorded(is_accepted).await;
        session.record(request.method(), &line(&request), &response);
        response
    }

    /// Sends it until the response is accepted, without recording it.
    pub(crate) async fn until_unrecorded(self, is_accepted: impl Fn(&ApiResponse) -> bool) -> ApiResponse {
        let (deadline, mut pause) = (Instant::now() + MAX_WAIT, *PAUSES.start());
        loop {
            let response = self.session.send_unrecorded(self.request.clone()).await;
            if is_accepted(&response) {
                return response;
            }
            assert!(Instant::now() < deadline, "{}still gets {response:?}", line(&self.request));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(*PAUSES.end());
        }
    }
}
