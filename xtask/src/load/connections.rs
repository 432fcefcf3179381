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

/// Requests whose answers are never read: their answers fill the buffers of both sides.
const UNREAD: usize = 2_000;

/// What a connection does.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Sends nothing.
    Idle,
    /// Sends the head of a request, a byte at a time.
    Head,
    /// Sends the body of a request, a byte at a time.
    Body,
    /// Sends requests and reads no answer.
    Greedy,
}

const KINDS: [Kind; 4] = [Kind::Idle, Kind::Head, Kind::Body, Kind::Greedy];

/// Open connections, which are opened again when the platform closes them.
pub(super) struct BadConnections {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

/// Where a connection goes.
#[derive(Debug, Clone)]
struct Target {
    /// Host and port.
    host: String,
    /// The path and query of a request with a body.
    path: String,
    /// The method of a request with a body.
    method: &'static str,
    /// Further lines of its head.
    headers: String,
}

impl BadConnections {
    /// Opens `count` connections, half to the API and half to the object store.
    pub(super) fn open(addresses: &Addresses, project: &Project, clip: &[u8], count: usize) -> Result<Self> {
        allow_open_files(count)?;
        let grant = project.grant()?;
        let url = text_at(&grant, "/uploadUrl")?;
        let host =
            |url: &str| url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
        let path =
            url.strip_prefix(&addresses.s3).context("the upload URL is not one of the object store")?;
        let targets = [
            Target {
                host: host(&addresses.api),
                path: "/upload-url".into(),
                method: "POST",
                headers: format!("x-api-key: {}\r\ncontent-type: application/json\r\n", project.api.key),
            },
            Target {
                host: host(&addresses.s3),
                path: path.to_owned(),
                method: "PUT",
                headers: String::new(),
            },
        ];
        let mut connections = Vec::new();
        for number in 0..count {
            let (target, kind) = (targets[number % 2].clone(), KINDS[number / 2 % KINDS.len()]);
            connections.push(Connection::open(target, kind, clip.len())?);
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut reopened = 0;
            while !ends.load(Ordering::Relaxed) {
                for connection in &mut connections {
                    reopened += usize::from(connection.step());
                }
                thread::sleep(STEP);
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
    target: Target,
    kind: Kind,
    stream: Option<TcpStream>,
    /// Bytes that are still to be sent, one in each step.
    rest: Vec<u8>,
    body_length: usize,
}

impl Connection {
    fn open(target: Target, kind: Kind, body_length: usize) -> Result<Self> {
        let mut connection = Self { target, kind, stream: None, rest: Vec::new(), body_length };
        connection.connect().context("cannot open a connection to the platform")?;
        Ok(connection)
    }

    fn connect(&mut self) -> io::Result<()> {
        let Target { host, path, method, headers } = &self.target;
        let mut stream = TcpStream::connect(host)?;
        stream.set_nonblocking(true)?;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}");
        match self.kind {
            Kind::Idle => self.rest.clear(),
            Kind::Head => self.rest = head.into_bytes(),
            Kind::Body => {
                let with_length = format!("{head}content-length: {}\r\n\r\n", self.body_length);
                stream.write_all(with_length.as_bytes())?;
                self.rest = vec![b' '; self.body_length];
            }
            Kind::Greedy => {
                let requests = format!("GET /missing HTTP/1.1\r\nhost: {host}\r\n\r\n").repeat(UNREAD);
                self.rest.clear();
                // As many as the buffers take.
                let _ = stream.write(requests.as_bytes())?;
            }
        }
        self.rest.reverse();
        self.stream = Some(stream);
        Ok(())
    }

    /// Sends the next byte. Opens the connection again if the platform has closed it, and returns whether an open one was found closed.
    fn step(&mut self) -> bool {
        if self.stream.as_mut().is_some_and(|stream| goes_on(stream, self.kind, &mut self.rest)) {
            return false;
        }
        let was_open = self.stream.take().is_some();
        // While the platform refuses connections this fails, and the next step tries again.
        let _ = self.connect();
        was_open
    }
}

/// Sends the next byte of `rest`. Returns whether the connection is still open.
fn goes_on(stream: &mut TcpStream, kind: Kind, rest: &mut Vec<u8>) -> bool {
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
        Kind::Greedy => is_open(stream.write(b"\r\n")),
        Kind::Idle | Kind::Head | Kind::Body => is_open(stream.read(&mut [0; 1024])),
    }
}
