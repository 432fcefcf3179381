//! A fake API and object store on a real socket, with responses and faults set by the test.

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

pub(crate) type HttpResponse = Response<Full<Bytes>>;

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl ReceivedRequest {
    /// `METHOD target`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A fault injected into a request.
#[derive(Clone)]
pub(crate) enum Fault {
    /// The request has no effect and gets this response.
    Respond(u16, Vec<(&'static str, String)>, String),
    /// The request is processed, and the connection is closed before the response.
    CutAfter,
    /// The request is processed, and the response is this one.
    RespondAfter(u16, String),
    /// The connection is closed and the request has no effect.
    CutBefore,
    /// The request is processed when the test releases it.
    Hold(Arc<Hold>),
}

/// A request that waits in the server.
#[derive(Default)]
pub(crate) struct Hold {
    /// Notified when the request is held.
    pub(crate) reached: Notify,
    /// Releases the request.
    pub(crate) release: Notify,
}

/// A problem response of the API.
pub(crate) fn problem(status: u16, slug: &str, title: &str, detail: &str, field: Option<&str>) -> Fault {
    let mut body = json!({
        "type": format!("/problems/{slug}"), "title": title, "status": status, "detail": detail,
        "requestId": "req_0123456789",
    });
    if let Some(field) = field {
        body["field"] = field.into();
        body["errors"] = json!([{"field": field, "detail": detail}]);
    }
    Fault::Respond(status, vec![("content-type", "application/problem+json".to_owned())], body.to_string())
}

/// An error response of the object store.
pub(crate) fn store_error(status: u16, code: &str, message: &str) -> Fault {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message><RequestId>S3R</RequestId></Error>"
    );
    Fault::Respond(status, vec![("content-type", "application/xml".to_owned())], body)
}

#[derive(Default)]
pub(crate) struct State {
    requests: Vec<ReceivedRequest>,
    /// Prefixes of `METHOD target`, with the faults of the next matching requests.
    faults: Vec<(String, VecDeque<Fault>)>,
    pub(crate) store: store::Store,
    /// Responses of `GET /videos/{id}` by id, in order; the last one is repeated.
    pub(crate) views: BTreeMap<String, VecDeque<Value>>,
    /// Responses of `GET /videos/{id}` after the object is stored.
    pub(crate) views_after_upload: VecDeque<Value>,
    /// Events of `GET /videos/{id}/events`.
    pub(crate) events: Vec<Value>,
    /// Responses of `GET /videos/{id}/events` in order, before `events`.
    pub(crate) earlier_events: VecDeque<Vec<Value>>,
    /// Pages of `GET /videos`.
    pub(crate) list: Vec<Value>,
    /// Fixed responses by `METHOD target`, or by `METHOD path` for all queries.
    pub(crate) responses: BTreeMap<String, Value>,
    /// Part size in bytes.
    pub(crate) part_size: u64,
    /// Number of grants of unique keys.
    grants: u32,
}

/// A running server. Dropping it stops it.
pub(crate) struct FakeServer {
    address: String,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl FakeServer {
    /// Starts a server on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = format!("http://{}", listener.local_addr().expect("the listener has an address"));
        let state = Arc::new(Mutex::new(State { part_size: 4, ..State::default() }));
        let accepting = tokio::spawn(accept(listener, address.clone(), state.clone()));
        Self { address, state, accepting }
    }

    /// The server's URL.
    pub(crate) fn url(&self) -> &str {
        &self.address
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Injects one fault each into the next requests whose `METHOD target` begins with `prefix`.
    pub(crate) fn inject(&self, prefix: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.push((prefix.to_owned(), faults.into_iter().collect()));
    }

    /// All requests so far whose `METHOD target` begins with `prefix`.
    pub(crate) fn requests(&self, prefix: &str) -> Vec<ReceivedRequest> {
        self.state().requests.iter().filter(|request| request.line().starts_with(prefix)).cloned().collect()
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
            // Fails for requests whose fault closes the connection.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

/// Closes the connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
struct Closed;

async fn serve(
    request: Request<Incoming>,
    address: String,
    state: Arc<Mutex<State>>,
) -> Result<HttpResponse, Closed> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let line = format!("{} {target}", parts.method);
    let fault = next_fault(&state, &line);
    if matches!(fault, Some(Fault::CutBefore)) {
        return Err(Closed);
    }
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let received = ReceivedRequest { method: parts.method.to_string(), target, headers, body: body.to_vec() };
    lock(&state).requests.push(received.clone());
    match fault {
        Some(Fault::Respond(status, headers, body)) => {
            let mut response = respond(status, &body);
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a header value"));
            }
            Ok(response)
        }
        Some(Fault::RespondAfter(status, body)) => {
            lock(&state).handle_request(&received, &address);
            Ok(respond(status, &body))
        }
        Some(Fault::CutAfter) => {
            lock(&state).handle_request(&received, &address);
            Err(Closed)
        }
        Some(Fault::Hold(hold)) => {
            hold.reached.notify_one();
            hold.release.notified().await;
            Ok(lock(&state).handle_request(&received, &address))
        }
        Some(Fault::CutBefore) | None => Ok(lock(&state).handle_request(&received, &address)),
    }
}

fn next_fault(state: &Mutex<State>, line: &str) -> Option<Fault> {
    let mut state = lock(state);
    let (_, faults) =
        state.faults.iter_mut().find(|(prefix, faults)| line.starts_with(prefix) && !faults.is_empty())?;
    faults.pop_front()
}

fn respond(status: u16, body: &str) -> HttpResponse {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

impl State {
    fn handle_request(&mut self, request: &ReceivedRequest, address: &str) -> HttpResponse {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        if path.starts_with("/s3/") {
            let (response, stored) = self.store.handle_request(&request.method, path, query, &request.body);
            if stored {
                let key = path.trim_start_matches("/s3/").to_owned();
                let id = VideoId::of(&key.parse::<SourceKey>().expect("a source key"));
                let views = std::mem::take(&mut self.views_after_upload);
                if !views.is_empty() {
                    self.views.insert(id.to_string(), views);
                }
            }
            return response;
        }
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let body = match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["upload-url"]) => Some(self.grant(&request.json(), address)),
            ("GET", ["videos"]) => Some(self.page(query)),
            ("GET", ["events"]) => Some(self.feed(query)),
            ("GET", ["videos", id]) => self.view(id),
            ("GET", ["videos", _, "events"]) => {
                let events = self.earlier_events.pop_front().unwrap_or_else(|| self.events.clone());
                Some(json!({"data": events, "nextCursor": null}))
            }
            _ => {
                let line = format!("{} {path}", request.method);
                self.responses.get(&request.line()).or_else(|| self.responses.get(&line)).cloned()
            }
        };
        match body {
            Some(body) => respond(200, &body.to_string()),
            None => {
                match problem(404, "no-such-video", "The project has no such video", "Check the id.", None) {
                    Fault::Respond(status, _, body) => respond(status, &body),
                    _ => respond(500, ""),
                }
            }
        }
    }

    fn grant(&mut self, request: &Value, address: &str) -> Value {
        let filename = request["filename"].as_str().unwrap_or_default();
        let path = request["path"].as_str().unwrap_or_default();
        let path = match request["unique"].as_bool() {
            Some(true) => {
                self.grants += 1;
                format!("{path}/folder-{}", self.grants).trim_start_matches('/').to_owned()
            }
            _ => path.to_owned(),
        };
        let key = SourceKey::new(&"acme".parse().expect("a project"), &path, filename).expect("a key");
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

    /// One event per page. The positions are the numbers of the events.
    fn feed(&self, query: &str) -> Value {
        let after = query.split('&').find_map(|pair| pair.strip_prefix("after="));
        let index: usize = after.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let position = (index + 1).min(self.events.len());
        let next = (position < self.events.len()).then(|| position.to_string());
        let position = (position > 0).then(|| position.to_string());
        let data: Vec<_> = self.events.iter().skip(index).take(1).collect();
        json!({"data": data, "nextCursor": next, "position": position})
    }

    fn page(&self, query: &str) -> Value {
        let after = query.split('&').find_map(|pair| pair.strip_prefix("after="));
        let index: usize = after.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let next = (index + 1 < self.list.len()).then(|| (index + 1).to_string());
        json!({"data": self.list.get(index).cloned().unwrap_or(json!([])), "nextCursor": next})
    }
}
