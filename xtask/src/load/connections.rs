//! Connections that a server must bear: idle ones, requests and bodies that come a byte at a time, and clients that never read.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use super::project::Project;
use crate::platform::api::text_at;
use crate::platform::program::Addresses;

/// The time between two bytes of a connection, and between two checks whether it is still open.
const STEP: Duration = Duration::from_secs(1);

/// How many parts of the connections send their bytes one after another within a step: clients that do not know each other do not send at the
/// same moment.
const PARTS: u32 = 50;

/// Requests whose answers are never read. Each answer has tens of kilobytes: together they fill the buffers of both sides.
const UNREAD: usize = 200;

/// What a connection does.
#[derive(Debug, Clone)]
enum Kind {
    /// Sends nothing.
    Idle,
    /// Sends this head of a request, a byte at a time.
    Head(String),
    /// Sends this head of a request and then a body, a byte at a time.
    Body(String),
    /// Sends many requests with this head and reads no answer.
    Greedy(String),
}

/// Open connections, which are opened again when the platform closes them.
pub(super) struct BadConnections {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl BadConnections {
    /// Opens `count` connections to the API, the object store and the CDN.
    pub(super) fn open(addresses: &Addresses, project: &Project, clip: &[u8], count: usize) -> Result<Self> {
        allow_open_files(count)?;
        let kinds = kinds(addresses, project, clip)?;
        let mut connections = Vec::new();
        for (host, kind) in kinds.iter().cycle().take(count) {
            connections.push(Connection::open(host.clone(), kind.clone(), clip.len())?);
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let (mut reopened, size) = (0, connections.len().div_ceil(PARTS as usize).max(1));
            while !ends.load(Ordering::Relaxed) {
                for part in connections.chunks_mut(size) {
                    for connection in part {
                        reopened += usize::from(connection.step());
                    }
                    thread::sleep(STEP / PARTS);
                }
            }
            reopened
        });
        Ok(Self { is_over, thread })
    }

    /// Closes them. Returns how often the platform closed one.
    pub(super) fn close(self) -> Result<usize> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread of the bad connections panicked"))
    }
}

/// What each server gets, and its host and port.
fn kinds(addresses: &Addresses, project: &Project, clip: &[u8]) -> Result<Vec<(String, Kind)>> {
    let head = |method: &str, url: &str, headers: &str| -> Result<(String, String)> {
        let (host, path) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .with_context(|| format!("{url} is not a URL of the platform"))?;
        Ok((host.to_owned(), format!("{method} /{path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n")))
    };
    let body = format!("content-length: {}\r\n", clip.len());
    let json = format!("x-api-key: {}\r\ncontent-type: application/json\r\n{body}", project.api.key);
    let (api, grant) = head("POST", &format!("{}/upload-url", addresses.api), &json)?;
    let (_, description) = head("GET", &format!("{}/openapi.json", addresses.api), "")?;
    let (store, put) = head("PUT", text_at(&project.grant()?, "/uploadUrl")?, &body)?;
    let (cdn, video) = head("GET", &project.progressive_url(clip)?, "")?;
    let to = |host: &String, kind| (host.clone(), kind);
    Ok(vec![
        to(&api, Kind::Idle),
        to(&store, Kind::Idle),
        to(&cdn, Kind::Idle),
        to(&api, Kind::Head(grant.clone())),
        to(&store, Kind::Head(put.clone())),
        to(&cdn, Kind::Head(video.clone())),
        to(&api, Kind::Body(grant)),
        to(&store, Kind::Body(put)),
        to(&api, Kind::Greedy(description)),
        to(&cdn, Kind::Greedy(video)),
    ])
}

/// Raises the limit of this process for `count` more sockets.
fn allow_open_files(count: usize) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(count)? + 512;
    let raised = Rlimit { current: limit.current.map(|current| current.max(needed)), ..limit };
    setrlimit(Resource::Nofile, raised)
        .with_context(|| format!("cannot open {needed} files: raise the limit with `ulimit -Hn`"))
}

struct Connection {
    host: String,
    kind: Kind,
    stream: Option<TcpStream>,
    /// Bytes that are still to be sent, one in each step.
    rest: Vec<u8>,
    body_length: usize,
}

impl Connection {
    fn open(host: String, kind: Kind, body_length: usize) -> Result<Self> {
        let mut connection = Self { host, kind, stream: None, rest: Vec::new(), body_length };
        connection.connect().context("cannot open a connection to the platform")?;
        Ok(connection)
    }

    fn connect(&mut self) -> io::Result<()> {
        let mut stream = TcpStream::connect(&self.host)?;
        stream.set_nonblocking(true)?;
        self.rest = match &self.kind {
            Kind::Idle => Vec::new(),
            Kind::Head(head) => head.as_bytes().to_vec(),
            Kind::Body(head) => {
                stream.write_all(head.as_bytes())?;
                vec![b' '; self.body_length]
            }
            Kind::Greedy(head) => {
                // As many as the buffers take.
                let _ = stream.write(head.repeat(UNREAD).as_bytes())?;
                Vec::new()
            }
        };
        self.rest.reverse();
        self.stream = Some(stream);
        Ok(())
    }

    /// Sends the next byte. Opens the connection again if the platform has closed it, and returns whether an open one was found closed.
    fn step(&mut self) -> bool {
        if self.stream.as_mut().is_some_and(|stream| goes_on(stream, &self.kind, &mut self.rest)) {
            return false;
        }
        let was_open = self.stream.take().is_some();
        // While the platform refuses connections this fails, and the next step tries again.
        let _ = self.connect();
        was_open
    }
}

/// Sends the next byte of `rest`. Returns whether the connection is still open.
fn goes_on(stream: &mut TcpStream, kind: &Kind, rest: &mut Vec<u8>) -> bool {
    let is_open = |result: io::Result<usize>| match result {
        Ok(length) => length > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    };
    if let Some(byte) = rest.pop()
        && !is_open(stream.write(&[byte]))
    {
        return false;
    }
    // A client that never reads does not see that the connection was closed until it sends.
    match kind {
        Kind::Greedy(_) => is_open(stream.write(b"\r\n")),
        Kind::Idle | Kind::Head(_) | Kind::Body(_) => is_open(stream.read(&mut [0; 1024])),
    }
}
