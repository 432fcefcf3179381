//! A fake of the API and of the object store behind it, on a real socket. It does what a test tells it to.

pub(crate) mod store;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use streamio_events::id::VideoId;
use streamio_events::object_key::SourceKey;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(crate) type Answer = Response<Full<Bytes>>;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// Method and target in one word.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What happens to requests instead of, or beside, what should.
#[derive(Clone)]
pub(crate) enum Fault {
    /// This answer, and nothing is done.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// It is done, and the connection is cut before the answer.
    CutAfter,
    /// The connection is cut and nothing is done.
    CutBefore,
    /// It waits for the notice, having given one of its own.
    Hold(Arc<Hold>),
}

/// A request that waits in the server.
#[derive(Default)]
pub(crate) struct Hold {
    /// Notified when a request waits here.
    pub(crate) reached: Notify,
    /// Lets it go on.
    pub(crate) release: Notify,
}

/// A problem as the API writes it.
pub(crate) fn problem(status: u16, slug: &str, title: &str, detail: &str, field: Option<&str>) -> Fault {
    let mut body = json!({
        "type": format!("/problems/{slug}"), "title": title, "status": status, "detail": detail,
        "requestId": "req_0123456789",
    });
    if let Some(field) = field {
        body["field"] = field.into();
        body["errors"] = json!([{"field": field, "detail": detail}]);
    }
    Fault::Answer(status, vec![("content-type", "application/problem+json".to_owned())], body.to_string())
}

/// An error as the object store writes it.
pub(crate) fn store_error(status: u16, code: &str, message: &str) -> Fault {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message><RequestId>S3R</RequestId></Error>"
    );
    Fault::Answer(status, vec![("content-type", "application/xml".to_owned())], body)
}

#[derive(Default)]
pub(crate) struct State {
    seen: Vec<Seen>,
    /// Prefixes of `METHOD target` with what happens to the next requests that begin so.
    faults: Vec<(String, VecDeque<Fault>)>,
    pub(crate) store: store::Store,
    /// What `GET /videos/{id}` answers one after the other; the last stays.
    pub(crate) views: BTreeMap<String, VecDeque<Value>>,
    /// What `GET /videos/{id}` answers once the object is stored.
    pub(crate) views_after_upload: VecDeque<Value>,
    pub(crate) events: Vec<Value>,
    /// What `GET /videos/{id}/events` answers one after the other, before `events`.
    pub(crate) earlier_events: VecDeque<Vec<Value>>,
    /// Pages of `GET /videos`.
    pub(crate) list: Vec<Value>,
    /// Fixed answers by `METHOD path`.
    pub(crate) answers: BTreeMap<String, Value>,
    /// Bytes of a part.
    pub(crate) part_size: u64,
}

/// The server; it ends when this is dropped.
pub(crate) struct Fake {
    address: String,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Fake {
    /// Serves on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = format!("http://{}", listener.local_addr().expect("the listener has an address"));
        let state = Arc::new(Mutex::new(State { part_size: 4, ..State::default() }));
        let accepting = tokio::spawn(accept(listener, address.clone(), state.clone()));
        Self { address, state, accepting }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.address
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The next requests whose `METHOD target` begins with `prefix` meet these, one each.
    pub(crate) fn fault(&self, prefix: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.push((prefix.to_owned(), faults.into_iter().collect()));
    }

    /// All requests so far whose `METHOD target` begins with `prefix`.
    pub(crate) fn seen(&self, prefix: &str) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.line().starts_with(prefix)).cloned().collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, address: String, state: Arc<Mutex<State>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (address, state) = (address.clone(), state.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| serve(request, address.clone(), state.clone()));
            // A connection that is cut is what some tests want.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

async fn serve(request: Request<Incoming>, address: String, state: Arc<Mutex<State>>) -> Result<Answer, Cut> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let line = format!("{} {target}", parts.method);
    let fault = next_fault(&state, &line);
    if matches!(fault, Some(Fault::CutBefore)) {
        return Err(Cut);
    }
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let seen = Seen { method: parts.method.to_string(), target, headers, body: body.to_vec() };
    lock(&state).seen.push(seen.clone());
    match fault {
        Some(Fault::Answer(status, headers, body)) => {
            let mut answer = respond(status, &body);
            for (name, value) in headers {
                answer.headers_mut().insert(name, value.parse().expect("a header value"));
            }
            Ok(answer)
        }
        Some(Fault::CutAfter) => {
            lock(&state).answer(&seen, &address);
            Err(Cut)
        }
        Some(Fault::Hold(hold)) => {
            hold.reached.notify_one();
            hold.release.notified().await;
            Ok(lock(&state).answer(&seen, &address))
        }
        Some(Fault::CutBefore) | None => Ok(lock(&state).answer(&seen, &address)),
    }
}

fn next_fault(state: &Mutex<State>, line: &str) -> Option<Fault> {
    let mut state = lock(state);
    let (_, faults) =
        state.faults.iter_mut().find(|(prefix, faults)| line.starts_with(prefix) && !faults.is_empty())?;
    faults.pop_front()
}

fn respond(status: u16, body: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_owned())));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer
}

impl State {
    fn answer(&mut self, seen: &Seen, address: &str) -> Answer {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        if path.starts_with("/s3/") {
            let (answer, stored) = self.store.answer(&seen.method, path, query, &seen.body);
            if stored {
                let key = path.trim_start_matches("/s3/").to_owned();
                let id = VideoId::of(&key.parse::<SourceKey>().expect("a source key"));
                let after = std::mem::take(&mut self.views_after_upload);
                if !after.is_empty() {
                    self.views.insert(id.to_string(), after);
                }
            }
            return answer;
        }
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let answer = match (seen.method.as_str(), segments.as_slice()) {
            ("POST", ["upload-url"]) => Some(self.grant(&seen.json(), address)),
            ("GET", ["videos"]) => Some(self.page(query)),
            ("GET", ["videos", id]) => self.view(id),
            ("GET", ["videos", _, "events"]) => {
                let events = self.earlier_events.pop_front().unwrap_or_else(|| self.events.clone());
                Some(json!({"data": events, "nextCursor": null}))
            }
            _ => self.answers.get(&format!("{} {path}", seen.method)).cloned(),
        };
        match answer {
            Some(answer) => respond(200, &answer.to_string()),
            None => {
                match problem(404, "no-such-video", "The project has no such video", "Check the id.", None) {
                    Fault::Answer(status, _, body) => respond(status, &body),
                    _ => respond(500, ""),
                }
            }
        }
    }

    fn grant(&mut self, request: &Value, address: &str) -> Value {
        let filename = request["filename"].as_str().unwrap_or_default();
        let path = request["path"].as_str().unwrap_or_default();
        let key = SourceKey::new(&"acme".parse().expect("a project"), path, filename).expect("a key");
        let mut grant = json!({
            "s3Key": key, "videoId": VideoId::of(&key), "grantId": "grt_aaaaaaaaaaaaaaaaaaaaaaaaaa",
            "expiresAt": "2026-01-02T03:04:05.000Z",
        });
        let url = |query: &str| format!("{address}/s3/{key}?{query}X-Amz-Signature=s3cr3t");
        let mut headers = serde_json::Map::new();
        if request["overwrite"] == false {
            headers.insert("if-none-match".to_owned(), "*".into());
        }
        if request["multipart"] == true {
            let size = request["size"].as_u64().unwrap_or_default();
            let upload_id = match request["uploadId"].as_str() {
                Some(id) => id.to_owned(),
                None => self.store.begin(key.as_str()),
            };
            let parts = (0..size.div_ceil(self.part_size)).map(|index| {
                json!({"partNumber": index + 1, "url": url(&format!("partNumber={}&uploadId={upload_id}&", index + 1))})
            });
            grant["multipart"] = json!({
                "uploadId": upload_id, "partSize": self.part_size, "parts": parts.collect::<Vec<_>>(),
                "completeUrl": url(&format!("uploadId={upload_id}&")), "completeHeaders": headers,
                "abortUrl": url(&format!("uploadId={upload_id}&")),
            });
        } else {
            for (field, header) in [("contentType", "content-type"), ("sha256", "x-amz-checksum-sha256")] {
                if let Some(value) = request.get(field) {
                    headers.insert(header.to_owned(), value.clone());
                }
            }
            headers.insert("content-length".to_owned(), request["size"].to_string().into());
            grant["uploadUrl"] = url("").into();
            grant["method"] = "PUT".into();
            grant["headers"] = headers.into();
        }
        grant
    }

    fn view(&mut self, id: &str) -> Option<Value> {
        let views = self.views.get_mut(id)?;
        if views.len() > 1 { views.pop_front() } else { views.front().cloned() }
    }

    fn page(&self, query: &str) -> Value {
        let after = query.split('&').find_map(|pair| pair.strip_prefix("after="));
        let index: usize = after.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let next = (index + 1 < self.list.len()).then(|| (index + 1).to_string());
        json!({"data": self.list.get(index).cloned().unwrap_or(json!([])), "nextCursor": next})
    }
}
