//! Serves HTTP/1.1 on a listener. Used by the API, the object store and the CDN.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

/// The default for how long requests in progress may take when the server stops.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// How long a client may take to send the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// The pause after a connection could not be accepted, which usually means that no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves each connection with the service that `service_for` returns for its peer, until `shutdown` completes. Then no
/// connection is accepted, requests in progress may finish within `drain`, and the rest is cut off.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    drain: Duration,
    shutdown: impl Future<Output = ()>,
    service_for: impl Fn(SocketAddr) -> S,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (finish, cut) = (CancellationToken::new(), CancellationToken::new());
    let connections = TaskTracker::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve_connection(stream, peer, service_for(peer), finish.clone());
                connections.spawn(cut.clone().run_until_cancelled_owned(connection));
            }
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    finish.cancel();
    connections.close();
    if timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "unfinished requests are cut off: they exceed the time for the shutdown"
        );
        cut.cancel();
        connections.wait().await;
    }
}

/// Serves one connection until it ends or, after `finish` is cancelled, until its current request is done.
async fn serve_connection<S, B>(stream: TcpStream, peer: SocketAddr, service: S, finish: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Otherwise a small response waits for the acknowledgement of the previous one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "a connection was closed before it was served");
        return;
    }
    let mut connection = pin!(
        http1::Builder::new()
            // Without a timer a client could keep a connection open by never finishing its request head.
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = finish.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // Clients often disconnect during a response.
        tracing::debug!(error = %error, client.address = %peer.ip(), "a connection ended early");
    }
}
