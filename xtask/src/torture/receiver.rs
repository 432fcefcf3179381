//! A receiver of webhooks. It runs beside the platform, and keeps what arrived when the platform is killed.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The largest request that is read, in bytes: above the largest message.
const MAX_REQUEST: usize = 64 * 1024;

/// How long a request may take: a platform that was killed sends no more.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A message, as it arrived first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: String,
    pub(super) video: String,
    /// The place of its event in the project's feed.
    pub(super) seq: u64,
    /// How often it arrived.
    pub(super) times: u32,
    body: Vec<u8>,
}

#[cfg(test)]
impl Message {
    /// A message for tests.
    pub(super) fn new(kind: &str, video: &str, seq: u64) -> Self {
        Self { kind: kind.to_owned(), video: video.to_owned(), seq, times: 1, body: Vec::new() }
    }
}

/// What has arrived.
#[derive(Debug, Default)]
struct Arrived {
    /// By the messages' ids.
    messages: BTreeMap<String, Message>,
    /// Requests that were wrong, one sentence each.
    faults: Vec<String>,
}

/// A receiver on a port of its own. It ends with the process.
pub(super) struct Receiver {
    pub(super) url: String,
    arrived: Arc<Mutex<Arrived>>,
}

impl Receiver {
    /// Starts a receiver. Of the messages, a quarter is refused when it comes first, and a quarter gets no answer.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen for webhooks")?;
        let url = format!("http://{}/", listener.local_addr()?);
        let arrived = Arc::<Mutex<Arrived>>::default();
        let shared = Arc::clone(&arrived);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // A request that ends early was cut off by a kill.
                    if let Ok(request) = read(&stream) {
                        answer(&stream, locked(&shared).add(&request));
                    }
                });
            }
        });
        Ok(Self { url, arrived })
    }

    /// The messages that have arrived, by their ids. Fails if a request was wrong.
    pub(super) fn messages(&self) -> Result<BTreeMap<String, Message>> {
        let arrived = locked(&self.arrived);
        ensure!(arrived.faults.is_empty(), "webhooks are wrong:\n{}", arrived.faults.join("\n"));
        Ok(arrived.messages.clone())
    }
}

fn locked(arrived: &Mutex<Arrived>) -> MutexGuard<'_, Arrived> {
    arrived.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Request {
    id: String,
    body: Vec<u8>,
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    Refused,
    None,
}

impl Arrived {
    fn add(&mut self, request: &Request) -> Answer {
        let message = match parse(&request.body) {
            Ok(message) => message,
            Err(error) => {
                self.faults.push(format!("the message {}: {error:#}", request.id));
                return Answer::Accepted;
            }
        };
        let known = self.messages.entry(request.id.clone()).or_insert(message);
        if known.body != request.body {
            self.faults.push(format!("the message {} came with different bodies", request.id));
        }
        known.times += 1;
        match request.id.bytes().last().unwrap_or_default() % 4 {
            0 if known.times == 1 => Answer::Refused,
            1 if known.times == 1 => Answer::None,
            _ => Answer::Accepted,
        }
    }
}

fn parse(body: &[u8]) -> Result<Message> {
    let json: Value = serde_json::from_slice(body).context("is not JSON")?;
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let seq = json.pointer("/data/seq").and_then(Value::as_u64).context("has no seq")?;
    Ok(Message { kind: text("/type"), video: text("/data/videoId"), seq, times: 0, body: body.to_owned() })
}

fn read(mut stream: &TcpStream) -> Result<Request> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut bytes = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = request.parse(&bytes)? {
            let header = |name: &str| {
                let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                header.map(|header| String::from_utf8_lossy(header.value).into_owned())
            };
            let length: usize = header("content-length").context("a message without length")?.parse()?;
            if bytes.len() >= head + length {
                let id = header("webhook-id").context("a message without id")?;
                return Ok(Request { id, body: bytes[head..head + length].to_vec() });
            }
        }
        let mut some = [0; 4096];
        let count = stream.read(&mut some)?;
        if count == 0 || bytes.len() > MAX_REQUEST {
            bail!("the request is not whole");
        }
        bytes.extend_from_slice(&some[..count]);
    }
}

fn answer(mut stream: &TcpStream, answer: Answer) {
    let status = match answer {
        Answer::Accepted => "204 No Content",
        Answer::Refused => "500 Internal Server Error",
        Answer::None => return,
    };
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    // The platform may have been killed meanwhile.
    let _ = stream.write_all(response.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(receiver: &Receiver, id: &str, body: &str) -> Result<u16> {
        let request = minreq::post(&receiver.url).with_header("webhook-id", id).with_body(body);
        Ok(request.with_timeout(30).send()?.status_code)
    }

    #[test]
    fn messages_are_kept_and_half_of_them_has_to_be_sent_again() {
        let receiver = Receiver::start().unwrap();
        let body = r#"{"type":"video.ready","data":{"videoId":"vid_1","seq":7}}"#;
        // The last characters have the remainders 0, 1 and 2.
        assert_eq!(send(&receiver, "msg_d", body).unwrap(), 500);
        assert_eq!(send(&receiver, "msg_d", body).unwrap(), 204);
        // A client may take the missing answer for an error of its own or of the server.
        assert_ne!(send(&receiver, "msg_e", body).unwrap_or(503), 204);
        assert_eq!(send(&receiver, "msg_e", body).unwrap(), 204);
        assert_eq!(send(&receiver, "msg_f", body).unwrap(), 204);
        let messages = receiver.messages().unwrap();
        let times: Vec<u32> = messages.values().map(|message| message.times).collect();
        assert_eq!(times, [2, 2, 1]);
        let Message { kind, video, seq, .. } = &messages["msg_f"];
        assert_eq!((kind.as_str(), video.as_str(), *seq), ("video.ready", "vid_1", 7));
    }

    #[test]
    fn another_body_under_the_same_id_is_a_fault() {
        let receiver = Receiver::start().unwrap();
        send(&receiver, "msg_f", r#"{"data":{"seq":7}}"#).unwrap();
        send(&receiver, "msg_f", r#"{"data":{"seq":8}}"#).unwrap();
        assert!(receiver.messages().unwrap_err().to_string().contains("different bodies"));
    }
}
