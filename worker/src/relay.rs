//! Serves the source to FFmpeg over HTTP on the loopback interface, reading it from storage in blocks.
//!
//! FFmpeg does not read a presigned URL itself, because the URL would be visible in the process list and in FFmpeg's output,
//! FFmpeg would need TLS and access to the internet, the URL could expire during a long encode, and FFmpeg would treat a broken
//! connection as the end of the file, so that a truncated video would be published. The relay fetches every block with retries
//! and current credentials from exactly the object that was probed (`If-Match`), and storage failures are reported as such.

mod blocks;
mod range;

use std::convert::Infallible;
use std::net::Ipv4Addr;
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
use crate::failure::MachineError;
use crate::storage::StorageError;

/// A running relay. Dropping it closes its connections, so that an FFmpeg that outlives the worker loses its input and ends.
#[derive(Debug)]
pub struct Relay {
    url: String,
    task: JoinHandle<()>,
}

impl Relay {
    /// Serves `source` on a free port of 127.0.0.1, under a path that cannot be guessed.
    pub async fn start(source: Arc<Source>) -> Result<Self, MachineError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(MachineError::io("opening a port for FFmpeg's input"))?;
        let port =
            listener.local_addr().map_err(MachineError::io("opening a port for FFmpeg's input"))?.port();
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| MachineError::Io { doing: "generating a random path", source: error.into() })?;
        let path: Arc<str> = format!("/{:032x}", u128::from_be_bytes(random)).into();
        let url = format!("http://127.0.0.1:{port}{path}");
        Ok(Self { url, task: tokio::spawn(accept(listener, source, path)) })
    }

    /// The URL of the source, for FFmpeg's `-i`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, source: Arc<Source>, path: Arc<str>) {
    // Owned by this task, so that aborting it closes the connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, Arc::clone(&source), Arc::clone(&path)))),
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "cannot accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, source: Arc<Source>, path: Arc<str>) {
    let service = service_fn(move |request| {
        let response = handle_request(&request, &source, &path);
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
    source: &Arc<Source>,
    path: &str,
) -> Response<Body<impl Stream<Item = Result<Frame<Bytes>, Arc<StorageError>>> + use<>>> {
    let empty = |status| {
        let mut response = Response::new(Either::Left(Empty::new()));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != path {
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
