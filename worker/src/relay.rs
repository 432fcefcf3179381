//! Serves the source to FFmpeg over HTTP on the loopback interface, reading it from storage in blocks.
//!
//! FFmpeg does not read a presigned URL itself, because the URL would be visible in the process list and in FFmpeg's output,
//! FFmpeg would need TLS and access to the internet, the URL could expire during a long encode, and FFmpeg would treat a broken
//! connection as the end of the file, so that a truncated video would be published. The relay fetches every block with retries
//! and current credentials from exactly the object that was probed (`If-Match`), and storage failures are reported as such.
//!
//! Every user of the machine sees the URL in the process list. It is of no use to them: the relay serves only connections whose other
//! end is open in a process that the worker started for this source.

mod blocks;
mod clients;
mod range;
#[cfg(feature = "testing")]
pub mod testing;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body_util::{Either, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub use self::blocks::Source;
pub(crate) use self::clients::Admission;
use self::clients::{Clients, Owner};
use crate::failure::{Failure, MachineError};
use crate::storage::StorageError;

/// A running relay. Dropping it closes its connections, so that an FFmpeg that outlives the worker loses its input and ends.
#[derive(Debug)]
pub struct Relay {
    input: Input,
    source: Arc<Source>,
    task: JoinHandle<()>,
}

/// A source as FFmpeg's input. Clones are the same input.
#[derive(Debug, Clone)]
pub struct Input {
    url: String,
    address: SocketAddr,
    clients: Clients,
}

impl Input {
    /// The URL of the source, for FFmpeg's `-i`. Only processes that the worker started for it can read it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of the relay.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Starts the leader of a process group with `start`, which returns its process id, and lets the group read the source until the
    /// admission is dropped. `None` as the id stands for a process that has ended.
    pub(crate) fn admit<T>(
        &self,
        start: impl FnOnce() -> std::io::Result<(Option<u32>, T)>,
    ) -> std::io::Result<(T, Option<Admission>)> {
        self.clients.admit(start)
    }
}

impl Relay {
    /// Serves `source` on a free port of 127.0.0.1, under a path that cannot be guessed.
    pub async fn start(source: Arc<Source>) -> Result<Self, MachineError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(MachineError::io("opening a port for FFmpeg's input"))?;
        let address = listener.local_addr().map_err(MachineError::io("opening a port for FFmpeg's input"))?;
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| MachineError::Io { doing: "generating a random path", source: error.into() })?;
        let path: Arc<str> = format!("/{:032x}", u128::from_be_bytes(random)).into();
        let clients = Clients::default();
        let input = Input { url: format!("http://{address}{path}"), address, clients: clients.clone() };
        let served = Served { source: Arc::clone(&source), path, address, clients };
        Ok(Self { input, source, task: tokio::spawn(accept(listener, served)) })
    }

    /// Why FFmpeg did not get the whole source, if it did not. What it made, or found wrong, then says nothing about the source.
    pub fn failure(&self) -> Option<Failure> {
        if let Some(error) = self.source.failure() {
            return Some(Failure::from_source_error(error));
        }
        let error = self.input.clients.take_unknown()?;
        Some(MachineError::io("finding the process at the other end of a connection")(error).into())
    }

    /// The source as an input.
    pub fn input(&self) -> &Input {
        &self.input
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a relay serves, and to whom.
#[derive(Clone)]
struct Served {
    source: Arc<Source>,
    path: Arc<str>,
    address: SocketAddr,
    clients: Clients,
}

async fn accept(listener: TcpListener, served: Served) {
    // Owned by this task, so that aborting it closes the connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => drop(connections.spawn(serve(stream, peer, served.clone()))),
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "cannot accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, served: Served) {
    let is_client = match served.clients.owner(peer, served.address).await {
        Owner::Client => true,
        Owner::Closed => return,
        Owner::Other => {
            tracing::warn!(
                "a process that is not FFmpeg for this source connected to its relay and was refused"
            );
            false
        }
        Owner::Unknown(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "the system does not say whose a connection to the relay is; it was refused"
            );
            false
        }
    };
    let service = service_fn(move |request| {
        let response = handle_request(&request, &served, is_client);
        async move { Ok::<_, Infallible>(response) }
    });
    // FFmpeg closes connections whenever it seeks.
    if let Err(error) =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    {
        tracing::trace!(error = &error as &dyn std::error::Error, "a connection to the relay ended");
    }
}

type Body<S> = Either<Empty<Bytes>, StreamBody<S>>;

fn handle_request(
    request: &Request<Incoming>,
    served: &Served,
    is_client: bool,
) -> Response<Body<impl Stream<Item = Result<Frame<Bytes>, Arc<StorageError>>> + use<>>> {
    let empty = |status| {
        let mut response = Response::new(Either::Left(Empty::new()));
        *response.status_mut() = status;
        response
    };
    if !is_client {
        return empty(StatusCode::FORBIDDEN);
    }
    let source = &served.source;
    if request.uri().path() != &*served.path {
        return empty(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let requested = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
    let size = source.bytes();
    let mut response = Response::builder().header(header::ACCEPT_RANGES, "bytes");
    let range = match requested.map(|header| range::parse(header, size)) {
        None => 0..size,
        Some(Ok(range)) => {
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            response =
                response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, content_range);
            range
        }
        Some(Err(range::NotSatisfiable)) => {
            let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
            if let Ok(content_range) = format!("bytes */{size}").parse() {
                response.headers_mut().insert(header::CONTENT_RANGE, content_range);
            }
            return response;
        }
    };
    response = response.header(header::CONTENT_LENGTH, range.end - range.start);
    let body = if request.method() == Method::HEAD {
        Either::Left(Empty::new())
    } else {
        Either::Right(StreamBody::new(read(Arc::clone(source), range)))
    };
    response.body(body).unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

fn read(
    source: Arc<Source>,
    range: std::ops::Range<u64>,
) -> impl Stream<Item = Result<Frame<Bytes>, Arc<StorageError>>> {
    let end = range.end;
    let chunks = stream::try_unfold((source, range.start), move |(source, position)| async move {
        if position >= end {
            return Ok(None);
        }
        let mut chunk = source.chunk_at(position).await?;
        chunk.truncate(usize::try_from(end - position).unwrap_or(usize::MAX));
        let next = position + chunk.len() as u64;
        Ok(Some((Frame::data(chunk), (source, next))))
    });
    StreamExt::boxed(chunks)
}

#[cfg(test)]
mod tests;
