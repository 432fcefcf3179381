//! The API on a listener: the native edge.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use streamio_edge::{Context, Edge, MAX_BODY_BYTES, Served};
use streamio_events::error_chain::chain;
use streamio_events::masked::without_api_keys;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use crate::clock;
use crate::health::Health;
use crate::http_server::{self, DRAIN, RequestBody};
use crate::secrets::random;

/// The time limit of a request, including its body.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The API's server.
pub(crate) struct Api {
    listener: TcpListener,
    edge: Arc<Edge>,
    health: Arc<Health>,
}

impl Api {
    /// `edge` on `listener`, with the state of the platform's `health`.
    pub(crate) fn new(listener: TcpListener, edge: Arc<Edge>, health: Health) -> Self {
        Self { listener, edge, health: Arc::new(health) }
    }

    /// Serves until `stop`, then finishes the requests that have started.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        http_server::serve(self.listener, DRAIN, stop.cancelled(), |peer| {
            let (edge, health) = (Arc::clone(&self.edge), Arc::clone(&self.health));
            service_fn(move |request| respond(Arc::clone(&edge), Arc::clone(&health), peer.ip(), request))
        })
        .await;
    }
}

async fn respond(
    edge: Arc<Edge>,
    health: Arc<Health>,
    client_address: IpAddr,
    request: Request<RequestBody>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let method = request.method().clone();
    let started_at = tokio::time::Instant::now();
    let response =
        match tokio::time::timeout(TIMEOUT, handle_request(&edge, &health, client_address, request)).await {
            Ok(response) => response,
            Err(_) => without_body(StatusCode::REQUEST_TIMEOUT),
        };
    log(&method, &response, started_at.elapsed());
    Ok(response.map(Full::new))
}

async fn handle_request(
    edge: &Edge,
    health: &Health,
    client_address: IpAddr,
    request: Request<RequestBody>,
) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        // One byte too many makes the API itself refuse the request, as a problem.
        Err(error) if error.is::<LengthLimitError>() => vec![0; MAX_BODY_BYTES + 1].into(),
        Err(_) => return without_body(StatusCode::BAD_REQUEST),
    };
    let context = Context { now: clock::now(), random: random(), client_address: remote(client_address) };
    let request = http::Request::from_parts(head, body);
    let mut response = edge.handle(context, &request).await;
    health.add_to(request.method(), request.uri(), &mut response).await;
    response
}

/// The address of a client; `None` for this machine's own, which is that of all clients of a proxy.
fn remote(address: IpAddr) -> Option<IpAddr> {
    Some(address).filter(|address| !address.to_canonical().is_loopback())
}

/// The response to a client that did not send its whole request.
fn without_body(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// Logs a request: its call, not its path or query, which may hold secrets.
fn log(method: &http::Method, response: &Response<Bytes>, duration: Duration) {
    let status = response.status().as_u16();
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let Some(served) = response.extensions().get::<Served>() else {
        tracing::info!(http.method = %method, http.status = status, duration_ms, "a request was incomplete");
        return;
    };
    let route = served.call.map(|call| call.path);
    let request_id = served.request_id.as_str();
    let project_id = served.project_id.as_ref().map(tracing::field::display);
    let video_id = served.video_id.as_ref().map(tracing::field::display);
    match &served.cause {
        None => tracing::info!(
            http.method = %method, http.route = route, http.status = status, duration_ms, request.id = request_id,
            project.id = project_id, video.id = video_id, "request served"
        ),
        Some(cause) => tracing::error!(
            http.method = %method, http.route = route, http.status = status, duration_ms, request.id = request_id,
            project.id = project_id, video.id = video_id, error = &*without_api_keys(&chain(&**cause)),
            "request failed"
        ),
    }
}
