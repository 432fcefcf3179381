//! A server that sends recorded responses, one after another, and records its requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A response.
pub(crate) struct Response {
    status: u16,
    headers: String,
    body: String,
}

impl Response {
    /// A successful response with JSON.
    pub(crate) fn ok(body: &Value) -> Self {
        Self { status: 200, headers: JSON.to_owned(), body: body.to_string() }
    }

    /// An error response with JSON.
    pub(crate) fn error(status: u16, error: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": error, "message": message });
        Self { status, headers: format!("{JSON}x-amzn-errortype: {error}\r\n"), body: body.to_string() }
    }

    /// No response: the connection is closed after the request.
    pub(crate) fn lost() -> Self {
        Self { status: 0, headers: String::new(), body: String::new() }
    }

    /// A response to a `HEAD`, without a body.
    pub(crate) fn head(headers: &[(&str, &str)]) -> Self {
        let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Self { status: 200, headers: lines.concat(), body: String::new() }
    }

    /// A response with XML.
    pub(crate) fn xml(status: u16, body: &str) -> Self {
        Self { status, headers: "content-type: application/xml\r\n".to_owned(), body: body.to_owned() }
    }
}

const JSON: &str = "content-type: application/x-amz-json-1.1\r\n";

/// A request: the operation of its header, the condition, and the body.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Request {
    pub(crate) target: String,
    pub(crate) if_match: Option<String>,
    pub(crate) body: Value,
}

/// A running server. It stops when it is dropped. After the last response it closes connections without one.
pub(crate) struct Scripted {
    pub(crate) endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn start(responses: impl IntoIterator<Item = Response>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let responses = Arc::new(Mutex::new(responses.into_iter().collect::<VecDeque<_>>()));
        let log = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&responses), Arc::clone(&log)));
            }
        });
        Self { endpoint, requests, task }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, responses: Arc<Mutex<VecDeque<Response>>>, log: Arc<Mutex<Vec<Request>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = request(&mut stream).await {
        log.lock().unwrap().push(request);
        let Some(Response { status, headers, body }) = responses.lock().unwrap().pop_front() else { return };
        if status == 0 {
            return;
        }
        let length = if headers.contains("content-length") {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        let head = format!("HTTP/1.1 {status} Recorded\r\n{headers}{length}\r\n");
        if stream.get_mut().write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let (mut request, mut length) = (Request::default(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => value.clone_into(&mut request.target),
            "if-match" => request.if_match = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(request)
}
