//! The CDN on a listener.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED,
};
use http::{HeaderValue, Method, Request};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{ServiceBuilder, service_fn};
use tower_http::cors::{AllowCredentials, AllowHeaders, AllowOrigin, CorsLayer};

use super::answer::Cdn;
use super::config::{CdnConfig, Clock};
use super::origin::Origin;

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// Serves the objects of `origin` to viewers that connect to `listener`, until `shutdown` completes. Then no new
/// connection is accepted, requests in flight are finished within [`CdnConfig::with_drain`], and what is left is cut.
///
/// HTTP/1.1 without TLS: put a proxy that adds TLS in front of it and give the proxy's URL as the base URL (policies
/// with addresses then see the proxy's).
///
/// # Errors
/// When the listener has no address, which is before anything is served.
pub async fn serve<O: Origin>(
    mut listener: TcpListener,
    origin: O,
    config: CdnConfig,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(server.address = %address, "The CDN is listening");
    let (drain, cors) = (config.drain, cors(&config.credentialed_origins));
    let cdn = Arc::new(Cdn::new(origin, config, clock));
    let (finish, cut) = (CancellationToken::new(), CancellationToken::new());
    let connections = TaskTracker::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, viewer) = tokio::select! {
            () = &mut shutdown => break,
            accepted = Listener::accept(&mut listener) => accepted,
        };
        let connection = serve_connection(stream, viewer, Arc::clone(&cdn), cors.clone(), finish.clone());
        connections.spawn(cut.clone().run_until_cancelled_owned(connection));
    }
    drop(listener);
    finish.cancel();
    connections.close();
    if timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "Viewers are cut off: the shutdown would take too long"
        );
        cut.cancel();
        connections.wait().await;
    }
    Ok(())
}

async fn serve_connection<O: Origin>(
    stream: TcpStream,
    viewer: SocketAddr,
    cdn: Arc<Cdn<O>>,
    cors: CorsLayer,
    finish: CancellationToken,
) {
    // Small answers would wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "A connection was gone before it was served");
        return;
    }
    let service = ServiceBuilder::new().layer(cors).service(service_fn(move |request: Request<_>| {
        let cdn = Arc::clone(&cdn);
        async move {
            let (head, _) = request.into_parts();
            Ok::<_, Infallible>(cdn.answer(&head, viewer.ip().to_canonical()).await)
        }
    }));
    let mut connection = pin!(
        http1::Builder::new()
            // Without a timer a viewer could hold a connection by never finishing its request.
            .timer(TokioTimer::new())
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
        // Viewers stop watching in the middle of a segment all the time.
        tracing::debug!(error = %error, client.address = %viewer.ip(), "A connection ended early");
    }
}

/// Scripts of every origin may read what a signed URL gives them; what the viewer's cookies give only those of the
/// listed origins.
fn cors(credentialed: &HashSet<HeaderValue>) -> CorsLayer {
    let credentialed = credentialed.clone();
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_credentials(AllowCredentials::predicate(move |origin, _| credentialed.contains(origin)))
        .allow_methods([Method::GET, Method::HEAD, Method::OPTIONS])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            ACCEPT_RANGES,
            CACHE_CONTROL,
            CONTENT_LENGTH,
            CONTENT_RANGE,
            CONTENT_TYPE,
            DATE,
            ETAG,
            LAST_MODIFIED,
        ])
        .max_age(PREFLIGHT_AGE)
}
