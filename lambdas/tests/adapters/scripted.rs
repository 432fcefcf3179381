//! A server that gives recorded answers, one after another, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// An answer.
pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    /// Of a service that speaks JSON.
    pub(crate) fn ok(body: &Value) -> Self {
        Self { status: 200, headers: JSON.to_owned(), body: body.to_string() }
    }

    /// The same, of an error.
    pub(crate) fn error(status: u16, error: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": error, "message": message });
        Self { status, headers: format!("{JSON}x-amzn-errortype: {error}\r\n"), body: body.to_string() }
    }

    /// None: the connection ends instead, when all of the question was heard.
    pub(crate) fn lost() -> Self {
        Self { status: 0, headers: String::new(), body: String::new() }
    }

    /// To a `HEAD`, which has no body.
    pub(crate) fn head(headers: &[(&str, &str)]) -> Self {
        let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Self { status: 200, headers: lines.concat(), body: String::new() }
    }

    /// Of a service that speaks XML.
    pub(crate) fn xml(status: u16, body: &str) -> Self {
        Self { status, headers: "content-type: application/xml\r\n".to_owned(), body: body.to_owned() }
    }
}

const JSON: &str = "content-type: application/x-amz-json-1.1\r\n";

/// What was asked: the operation by its header, the condition, and the body.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) if_match: Option<String>,
    pub(crate) body: Value,
}

/// Ends with its value. Past the last answer it closes connections without one.
pub(crate) struct Scripted {
    pub(crate) endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&answers), Arc::clone(&log)));
            }
        });
        Self { endpoint, asked, task }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, answers: Arc<Mutex<VecDeque<Answer>>>, log: Arc<Mutex<Vec<Asked>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = request(&mut stream).await {
        log.lock().unwrap().push(asked);
        let Some(Answer { status, headers, body }) = answers.lock().unwrap().pop_front() else { return };
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

async fn request(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let (mut asked, mut length) = (Asked::default(), 0);
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
            "x-amz-target" => value.clone_into(&mut asked.target),
            "if-match" => asked.if_match = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    asked.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(asked)
}
