//! The API on a listener: the edge, natively.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use streamio_edge::{Context, Edge, MAX_BODY_BYTES, Served};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use crate::clock;
use crate::http_server::{self, DRAIN};
use crate::secrets::random;

/// How long a request may take, its body included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The API's server.
pub(crate) struct Api {
    listener: TcpListener,
    edge: Arc<Edge>,
}

impl Api {
    /// `edge` on `listener`.
    pub(crate) fn new(listener: TcpListener, edge: Arc<Edge>) -> Self {
        Self { listener, edge }
    }

    /// Serves until `stop`, then lets the requests that it has begun finish.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        http_server::serve(self.listener, DRAIN, stop.cancelled(), |_| {
            let edge = Arc::clone(&self.edge);
            service_fn(move |request| answer(Arc::clone(&edge), request))
        })
        .await;
    }
}

async fn answer(edge: Arc<Edge>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = tokio::time::Instant::now();
    let response = match tokio::time::timeout(TIMEOUT, exchange(&edge, request)).await {
        Ok(response) => response,
        Err(_) => plain(StatusCode::REQUEST_TIMEOUT),
    };
    log(&method, &path, &response, begun.elapsed());
    Ok(response.map(Full::new))
}

async fn exchange(edge: &Edge, request: Request<Incoming>) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        // One byte too many is all that the API needs to refuse it in its own words.
        Err(error) if error.is::<LengthLimitError>() => vec![0; MAX_BODY_BYTES + 1].into(),
        Err(_) => return plain(StatusCode::BAD_REQUEST),
    };
    let context = Context { now: clock::now(), random: random() };
    edge.handle(context, http::Request::from_parts(head, body)).await
}

/// For a client that did not even send its request: it hardly reads the answer.
fn plain(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// Without the query, whose values are the caller's.
fn log(method: &http::Method, path: &str, response: &Response<Bytes>, duration: Duration) {
    let status = response.status().as_u16();
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let Some(served) = response.extensions().get::<Served>() else {
        tracing::info!(http.method = %method, http.path = path, http.status = status, duration_ms, "a request was not read to its end");
        return;
    };
    let request_id = served.request_id.as_str();
    let project_id = served.project_id.as_ref().map(tracing::field::display);
    match &served.cause {
        None => tracing::info!(
            http.method = %method, http.path = path, http.status = status, duration_ms, request.id = request_id,
            project.id = project_id, "request served"
        ),
        Some(cause) => tracing::error!(
            http.method = %method, http.path = path, http.status = status, duration_ms, request.id = request_id,
            project.id = project_id, error = ?anyhow::Chain::new(&**cause).map(ToString::to_string).collect::<Vec<_>>(),
            "request failed"
        ),
    }
}
