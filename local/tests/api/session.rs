//! One scenario's conversation with one target: what it sends, and the transcript of it.

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

use crate::exchange::{Answer, shown, written};
use crate::http_client::{self, Framing};
use crate::placeholders::Placeholders;
use crate::projects::Keys;
use crate::storage::path_and_query;
use crate::target::{Target, authority};

/// How long something may take that is not finished with an answer: a grant on its way through a queue, a reaction.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pauses while it is waited for: a short one at first, then longer ones, because requests have a quota.
const PAUSES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(500);

/// A conversation.
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

    /// All that was said, with placeholders.
    pub(crate) fn transcript(self) -> String {
        self.transcript.into_inner().text
    }

    pub(crate) fn keys(&self) -> &'a Keys {
        &self.target.keys
    }

    /// Whether the API is the Worker, for what its runtime does otherwise ([`crate::scenarios`], `runtime`).
    pub(crate) fn is_on_workerd(&self) -> bool {
        self.target.journal.is_some()
    }

    /// Whether a repeated upload in parts is begun again: where the journal is a queue, which cannot be asked what it has.
    pub(crate) fn forgets_uploads(&self) -> bool {
        self.target.journal == Some(WorkerJournal::Queue)
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }

    /// A request with the key [`Keys::acme`].
    pub(crate) fn call(&self, method: Method, path: &str) -> Call<'_> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_else(|error| panic!("{error}: {path}"));
        Call { session: self, request }.key(&self.keys().acme)
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Answer {
        let asked = line(&request);
        let answer = self.send_unheard(request.clone()).await;
        self.note(request.method(), &asked, &answer);
        answer
    }

    /// Sends a request that is not in the transcript.
    pub(crate) async fn send_unheard(&self, request: Request<Bytes>) -> Answer {
        let answer = Answer::of(self.target.send(request).await);
        self.target.secrets.add_signatures(&shown(&answer.body));
        answer
    }

    /// Uses a URL of an answer: at the object store or the CDN, which are the same for all targets.
    pub(crate) async fn follow(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = Request::builder().method(&method).uri(path_and_query(url));
        for (name, value) in headers {
            // The client states the length itself.
            if *name != "content-length" {
                request = request.header(*name, *value);
            }
        }
        let request = request.body(Bytes::copy_from_slice(body)).unwrap();
        let answer = Answer::of(http_client::send(authority(url), request).await);
        self.target.secrets.add_signatures(&shown(&answer.body));
        // Of a refusal the code is enough: the rest is the affair of those servers' own tests.
        let body = if answer.status.is_success() { answer.body.clone() } else { error_code(&answer.body) };
        let told = Answer { headers: HeaderMap::new(), body, ..answer.clone() };
        self.note(&method, &format!("{method} {url}\n"), &told);
        answer
    }

    /// The CDN's URL of `path`, unsigned.
    pub(crate) fn cdn(&self, path: &str) -> String {
        format!("{}{path}", self.target.addresses.cdn)
    }

    /// Puts a part of an upload. Answers the part's entity tag.
    pub(crate) async fn store_part(&self, url: &str, content: &[u8]) -> String {
        let request = Request::put(path_and_query(url)).body(Bytes::copy_from_slice(content)).unwrap();
        let answer = Answer::of(http_client::send(authority(url), request).await).expect(200);
        answer.header("etag").unwrap().to_owned()
    }

    /// Puts an object into the bucket of results, as a worker does.
    pub(crate) async fn publish(&self, key: &str, content_type: &str, content: &str) {
        self.target.storage.publish(key, content_type, content).await;
    }

    fn note(&self, method: &Method, asked: &str, answer: &Answer) {
        let mut transcript = self.transcript.borrow_mut();
        let Transcript { placeholders, text } = &mut *transcript;
        let said = format!("> {asked}< {}\n", written(method, answer));
        write!(text, "{}", placeholders.put_into(&said)).unwrap();
    }
}

/// What stands in the element `Code` of an error that is written as S3 and CloudFront do.
fn error_code(body: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or_else(|| body.clone(), |(code, _)| Bytes::from(code.to_owned()))
}

/// The request as the transcript shows it: without the API key, and without its body, which no target can change.
fn line(request: &Request<Bytes>) -> String {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers().iter().filter(|(name, _)| *name != "x-api-key") {
        writeln!(text, "  {name}: {}", shown(value.as_bytes())).unwrap();
    }
    text
}

/// A request in the making.
pub(crate) struct Call<'a> {
    session: &'a Session<'a>,
    request: Request<Bytes>,
}

impl Call<'_> {
    /// With this key in place of the session's.
    pub(crate) fn key(mut self, key: &ApiKey) -> Self {
        let value = HeaderValue::from_str(key.reveal()).unwrap();
        self.request.headers_mut().insert("x-api-key", value);
        self
    }

    pub(crate) fn without_key(mut self) -> Self {
        self.request.headers_mut().remove("x-api-key");
        self
    }

    /// With one more header, whose value may be any bytes.
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

    pub(crate) async fn send(self) -> Answer {
        self.session.send(self.request).await
    }

    /// Sends it without a trace in the transcript.
    pub(crate) async fn send_unheard(self) -> Answer {
        self.session.send_unheard(self.request).await
    }

    /// Sends it until the answer is as wanted; only that one is in the transcript.
    pub(crate) async fn until(self, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let (session, request) = (self.session, self.request.clone());
        let answer = self.until_unheard(wanted).await;
        session.note(request.method(), &line(&request), &answer);
        answer
    }

    /// Sends it until the answer is as wanted, without a trace in the transcript.
    pub(crate) async fn until_unheard(self, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let (deadline, mut pause) = (Instant::now() + PATIENCE, *PAUSES.start());
        loop {
            let answer = self.session.send_unheard(self.request.clone()).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{}is still answered with {answer:?}", line(&self.request));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(*PAUSES.end());
        }
    }
}
