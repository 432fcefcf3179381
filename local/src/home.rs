//! The home region on one machine, for an edge in another process: its calls, and the intake of its facts.
//!
//! One listener on the loopback interface serves both:
//!
//! | request | contents |
//! |---|---|
//! | `POST /home` | a call of [`streamio_events::home`], signed for the service `lambda` like a request to a function URL |
//! | `POST /` with `x-amz-target: Kinesis_20131202.PutRecords` | facts for the log, handled by `intake.rs`, signed for the service `kinesis` |
//!
//! Every request is signed with AWS Signature Version 4 in its headers, including its body, within five minutes of this
//! machine's clock; any other gets a 403 with the reason. Within these minutes a request can be replayed, which does no harm:
//! the log accepts each commit id once.

pub mod signature;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use streamio_core::home_region::{AuditPorts, HomePorts, HomeRegion, WebhookPorts, handle_call};
use streamio_edge::sign::sigv4::{Credentials, SigningError};
use streamio_events::home::{Home, HomeReply, MAX_CALL_BYTES, PATH, ReplyError};
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::Policy;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use self::signature::Verifier;
use crate::clock;
use crate::http_server::{self, DRAIN, RequestBody};
use crate::intake::{self, Intake};
use crate::project_feed::LogFeed;
use crate::tenants::LogDirectory;
use crate::view_store::{CountedUsage, SqliteViewStore};

/// The time limit of a request, including its body.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The parts behind the listener.
pub(crate) struct HomeState {
    /// Handles calls.
    pub(crate) home: Arc<dyn Home>,
    /// Appends facts.
    pub(crate) intake: Intake,
}

impl HomeState {
    /// Handles calls with `home` and appends facts to `log`.
    pub(crate) fn new(home: Arc<dyn Home>, log: &SqliteLog) -> Self {
        Self { home, intake: Intake::new(Arc::new(log.clone()), clock::now()) }
    }
}

/// Returns the home region on a log and its views.
pub(crate) fn region(
    log: &SqliteLog,
    store: SqliteViewStore,
    webhooks: WebhookPorts,
    audit: AuditPorts,
    policy: Policy,
) -> Arc<dyn Home> {
    let log = log.clone();
    Arc::new(HomeRegion::new(HomePorts {
        feed: Arc::new(LogFeed(log.clone())),
        tenants: Arc::new(LogDirectory::new(log.clone())),
        usage: Arc::new(CountedUsage { log: log.clone(), views: store.clone() }),
        views: Arc::new(store),
        log: Arc::new(log),
        webhooks: Some(webhooks),
        audit: Some(audit),
        policy,
        clock: Arc::new(clock::now),
    }))
}

/// The accepted credentials. There may be several, so that one can be replaced while another is in use.
pub(crate) struct HomeKeys {
    /// The region that signatures must name.
    pub(crate) region: String,
    /// Signatures of any of these are accepted.
    pub(crate) credentials: Vec<Credentials>,
}

struct HomeServer {
    state: HomeState,
    calls: Verifier,
    intake: Verifier,
}

/// Serves until `stop`, then finishes the requests that have started.
pub(crate) async fn serve(
    listener: TcpListener,
    state: HomeState,
    keys: HomeKeys,
    stop: CancellationToken,
) -> Result<(), SigningError> {
    let HomeKeys { region, credentials } = keys;
    let calls = Verifier::new(&region, "lambda", &credentials)?;
    let intake = Verifier::new(&region, "kinesis", &credentials)?;
    let server = Arc::new(HomeServer { state, calls, intake });
    http_server::serve(listener, DRAIN, stop.cancelled(), |_| {
        let server = Arc::clone(&server);
        service_fn(move |request| respond(Arc::clone(&server), request))
    })
    .await;
    Ok(())
}

async fn respond(
    server: Arc<HomeServer>,
    request: Request<RequestBody>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let result = tokio::time::timeout(TIMEOUT, handle_request(&server, request)).await;
    let response = result.unwrap_or_else(|_| {
        let text = format!("the request took more than {} seconds", TIMEOUT.as_secs());
        refused(StatusCode::REQUEST_TIMEOUT, text)
    });
    Ok(response.map(Full::new))
}

async fn handle_request(server: &HomeServer, request: Request<RequestBody>) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let (is_call, limit) = match head.uri.path() {
        PATH => (true, MAX_CALL_BYTES),
        "/" => (false, intake::MAX_REQUEST_BYTES),
        path => return refused(StatusCode::NOT_FOUND, format!("there is no {path}, only {PATH} and /")),
    };
    if head.method != Method::POST {
        let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "every request must be a POST".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a request must have at most {limit} bytes"),
            );
        }
        Err(_) => return refused(StatusCode::BAD_REQUEST, "the body is incomplete".to_owned()),
    };
    let verifier = if is_call { &server.calls } else { &server.intake };
    if let Err(refusal) = verifier.verify(&head, &body, clock::now()) {
        tracing::warn!(http.path = head.uri.path(), reason = %refusal, "a request to the home region was refused");
        return if is_call {
            refused(StatusCode::FORBIDDEN, refusal.to_string())
        } else {
            intake::error(StatusCode::FORBIDDEN, refusal.code(), &refusal.to_string())
        };
    }
    if is_call {
        let (status, json) = handle_call(&*server.state.home, &body).await;
        json_response(StatusCode::from_u16(status).expect("a valid HTTP status"), json)
    } else {
        server.state.intake.handle(&head, &body).await
    }
}

fn json_response(status: StatusCode, json: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refused(status: StatusCode, text: String) -> Response<Bytes> {
    json_response(status, HomeReply::Error(ReplyError::Refused { text }).to_json())
}
