//! Accepting connections.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::service::{Config, S3, service};
use super::store::Store;

/// How long a client may take over the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// How long requests in progress may take to finish once the server is to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long to wait after a connection could not be accepted, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the S3 protocol over a store until `shutdown` is cancelled; then accepts nothing more, lets requests in
/// progress finish within ten seconds, and returns.
///
/// Path-style addresses only (`http://127.0.0.1:port/bucket/key`). Requests need a Signature Version 4 of one of the
/// configured key pairs, in the `Authorization` header or as a presigned URL; nothing is public.
pub async fn serve(listener: TcpListener, store: Store, config: Config, shutdown: CancellationToken) {
    let service = service(store, config);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, service.clone(), shutdown.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the S3 server could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let finished =
        tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!(s3.connections = connections.len(), "requests were cut off at shutdown");
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, service: S3, shutdown: CancellationToken) {
    // Small answers must not wait for more.
    drop(stream.set_nodelay(true));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an S3 connection ended early");
    }
}
