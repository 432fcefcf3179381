//! One way to serve HTTP/1.1 on a listener, for the API, the object store and the CDN alike.

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

/// How long requests in flight may take once the server is to stop, unless it is told otherwise.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// How long a client may take over the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// The pause after a connection could not be accepted, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves each connection by the service that `service_for` makes for its peer, until `shutdown` completes. Then no
/// connection is accepted any more, requests in flight are finished within `drain`, and what is left is cut off.
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
                let connection = connection(stream, peer, service_for(peer), finish.clone());
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
            "requests are cut off: the shutdown would take too long"
        );
        cut.cancel();
        connections.wait().await;
    }
}

async fn connection<S, B>(stream: TcpStream, peer: SocketAddr, service: S, finish: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Small answers would wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "a connection was gone before it was served");
        return;
    }
    let mut connection = pin!(
        http1::Builder::new()
            // Without a timer a client could hold a connection by never finishing its request.
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
        // Clients go away in the middle of an answer all the time.
        tracing::debug!(error = %error, client.address = %peer.ip(), "a connection ended early");
    }
}
