//! Serves HTTP/1.1 on a listener. Used by the API, the object store and the CDN.

mod connections;
mod request_body;
mod served;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

pub(crate) use self::connections::raise_limit;
use self::connections::{Connection, Connections};
use self::request_body::Pace;
pub(crate) use self::request_body::{BodyError, RequestBody};
use self::served::Served;

/// The default for how long requests in progress may take when the server stops.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// How long a client may take to send the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// The largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How often it is logged that connections are refused.
const REFUSAL_LOG_PERIOD: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted, which usually means that no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a connection that is closed for a new one is polled before. The first time, the runtime may not have seen that it has data.
const TURNS: usize = 3;

/// A service that can be served: it answers every request, and connections run in tasks of their own.
pub(crate) trait HttpService:
    Service<
        Request<RequestBody>,
        Response = Response<Self::ResponseBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type ResponseBody: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type ResponseBody = B;
}

/// Serves each connection with the service that `service_for` returns for its peer, until `shutdown` completes. Then no
/// connection is accepted, requests in progress may finish within `drain`, and the rest is cut off.
///
/// The number of connections is bounded ([`raise_limit`]): for one too many, one without a request is closed.
pub(crate) async fn serve<S: HttpService>(
    listener: TcpListener,
    drain: Duration,
    shutdown: impl Future<Output = ()>,
    service_for: impl Fn(SocketAddr) -> S,
) {
    let limits = Limits { connections: raise_limit(), ..Limits::DEFAULT };
    serve_within(limits, listener, drain, shutdown, service_for).await;
}

/// What clients of one listener may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The number of connections.
    connections: usize,
    /// How slow a body may arrive.
    pace: Pace,
    /// How long a client may take to receive anything of a response.
    write: Duration,
}

impl Limits {
    const DEFAULT: Self = Self { connections: 1000, pace: Pace::DEFAULT, write: Duration::from_mins(1) };
}

/// [`serve`] within these limits.
async fn serve_within<S: HttpService>(
    limits: Limits,
    listener: TcpListener,
    drain: Duration,
    shutdown: impl Future<Output = ()>,
    service_for: impl Fn(SocketAddr) -> S,
) {
    let (finish, cut) = (CancellationToken::new(), CancellationToken::new());
    let (connections, open) = (TaskTracker::new(), Connections::new(limits.connections));
    let mut refusal_logged_at: Option<Instant> = None;
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match open.admit(peer.ip().to_canonical()) {
                Some(admitted) => {
                    let served =
                        serve_connection(stream, peer, service_for(peer), admitted, (limits, finish.clone()));
                    connections.spawn(cut.clone().run_until_cancelled_owned(served));
                }
                None if refusal_logged_at.is_none_or(|at| at.elapsed() >= REFUSAL_LOG_PERIOD) => {
                    refusal_logged_at = Some(Instant::now());
                    tracing::warn!(
                        connections = connections.len(),
                        "connections are refused: all have requests in progress; raise the limit of open files (ulimit -n)"
                    );
                }
                None => {}
            },
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

/// Polls `connection` after the runtime has asked the system what has arrived. Returns its result if it has ended.
async fn read_what_has_arrived<C: Future>(mut connection: Pin<&mut C>) -> Option<C::Output> {
    for _ in 0..TURNS {
        if let Poll::Ready(ended) = futures::poll!(connection.as_mut()) {
            return Some(ended);
        }
        // The runtime goes on with a task that yields after it has looked for events.
        tokio::task::yield_now().await;
    }
    None
}

/// Serves one connection until it ends. After `finish` is cancelled, or the connection is closed for a new one, only its current request
/// is served.
async fn serve_connection<S: HttpService>(
    stream: TcpStream,
    peer: SocketAddr,
    service: S,
    admitted: Connection,
    (limits, finish): (Limits, CancellationToken),
) {
    // Otherwise a small response waits for the acknowledgement of the previous one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "a connection was closed before it was served");
        return;
    }
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream.as_mut().set_write_timeout_pinned(Some(limits.write));
    let mut connection = pin!(
        http1::Builder::new()
            // Without a timer a client could keep a connection open by never finishing its request head.
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), Served::new(service, admitted.requests(), limits.pace))
    );
    let closed = admitted.closed();
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = finish.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = closed.cancelled() => {
            // Of many connections that are accepted together, some are closed before anything of them was read.
            if !admitted.has_requests() && read_what_has_arrived(connection.as_mut()).await.is_some() {
                return;
            }
            if !admitted.has_requests() {
                // A graceful shutdown would wait for the rest of a head that was received in part.
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // Clients often disconnect during a response.
        tracing::debug!(error = %error, client.address = %peer.ip(), "a connection ended early");
    }
}
