//! The CDN on a listener.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED,
};
use http::{HeaderValue, Method, Request};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_http::cors::{AllowCredentials, AllowHeaders, AllowOrigin, CorsLayer};

use super::config::{CdnConfig, Clock};
use super::handler::Cdn;
use super::origin::Origin;
use crate::http_server::{self, RequestBody};

/// How long a browser may cache the response to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// Serves the objects of `origin` to viewers that connect to `listener`, until `shutdown` completes. Then no new
/// connection is accepted, requests in progress may finish within [`CdnConfig::with_drain`], and the rest is cut off.
///
/// HTTP/1.1 without TLS. For TLS use a proxy and configure the proxy's URL as the base URL. Policies with addresses are
/// then evaluated for the proxy's address.
///
/// # Errors
/// If the address of the listener cannot be determined; nothing was served then.
pub async fn serve<O: Origin>(
    listener: TcpListener,
    origin: O,
    config: CdnConfig,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(server.address = %address, "the CDN is listening");
    let (drain, cors) = (config.drain, cors(&config.credentialed_origins));
    let cdn = Arc::new(Cdn::new(origin, config, clock));
    http_server::serve(listener, drain, shutdown, |viewer| {
        let cdn = Arc::clone(&cdn);
        ServiceBuilder::new().layer(cors.clone()).service(service_fn(move |request: Request<RequestBody>| {
            let cdn = Arc::clone(&cdn);
            async move {
                let (head, _) = request.into_parts();
                Ok::<_, Infallible>(cdn.handle_request(&head, viewer.ip().to_canonical()).await)
            }
        }))
    })
    .await;
    Ok(())
}

/// Scripts of all origins may read responses to signed URLs. Only scripts of the listed origins may read responses that
/// are authorised by cookies.
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
