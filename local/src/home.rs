//! The home region on one machine: what an edge without a log of its own calls, and the end of its road to the log.
//!
//! One listener on the loopback interface has both:
//!
//! | request | is |
//! |---|---|
//! | `POST /home` | a call of [`streamio_events::home`], signed for the service `lambda`, as a function URL is |
//! | `POST /` with `x-amz-target: Kinesis_20131202.PutRecords` | facts for the log, read by `intake.rs`, signed for the service `kinesis` |
//!
//! Every request is signed with AWS Signature Version 4 in its headers, its body included, within five minutes of this
//! machine's clock; anything else is answered 403 with the reason. Within these minutes the same request may be repeated
//! by whoever saw it; nothing is done twice by that, because what is written has an id.

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
use hyper::body::Incoming;
use streamio_core::home_region::{HomePorts, HomeRegion};
use streamio_edge::sign::sigv4::{Credentials, SigningError};
use streamio_events::home::{HomeError, HomeReply, MAX_CALL_BYTES, PATH};
use streamio_events::sqlite::SqliteLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use self::signature::Verifier;
use crate::clock;
use crate::http_server::{self, DRAIN};
use crate::intake::{self, Intake};
use crate::project_feed::LogFeed;
use crate::tenants::LogDirectory;
use crate::view_store::SqliteViewStore;

/// How long a request may take, its body included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the home region answers from.
pub(crate) struct HomeState {
    /// For the calls.
    pub(crate) region: Arc<HomeRegion>,
    /// For the facts.
    pub(crate) intake: Intake,
    /// The time.
    pub(crate) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl HomeState {
    /// Facts for the log of a home region.
    pub(crate) fn new(region: Arc<HomeRegion>, log: &SqliteLog) -> Self {
        let intake = Intake::new(Arc::new(log.clone()), clock::now());
        Self { region, intake, clock: Arc::new(clock::now) }
    }
}

/// The home region on one log and the views of it.
pub(crate) fn region(log: &SqliteLog, store: SqliteViewStore, policy: Policy) -> Arc<HomeRegion> {
    let log = log.clone();
    Arc::new(HomeRegion::new(HomePorts {
        views: Arc::new(store),
        feed: Arc::new(LogFeed(log.clone())),
        tenants: Arc::new(LogDirectory::new(log.clone())),
        log: Arc::new(log),
        policy,
    }))
}

/// Whose signatures are accepted. Several credentials, so that one can be changed while the other is in use.
pub(crate) struct HomeKeys {
    /// The region that signatures must name.
    pub(crate) region: String,
    /// Any of these may sign.
    pub(crate) credentials: Vec<Credentials>,
}

struct Home {
    state: HomeState,
    calls: Verifier,
    intake: Verifier,
}

/// Serves both until `stop`, then lets the requests that it has begun finish.
pub(crate) async fn serve(
    listener: TcpListener,
    state: HomeState,
    keys: HomeKeys,
    stop: CancellationToken,
) -> Result<(), SigningError> {
    let HomeKeys { region, credentials } = keys;
    let calls = Verifier::new(&region, "lambda", &credentials)?;
    let intake = Verifier::new(&region, "kinesis", &credentials)?;
    let home = Arc::new(Home { state, calls, intake });
    http_server::serve(listener, DRAIN, stop.cancelled(), |_| {
        let home = Arc::clone(&home);
        service_fn(move |request| answer(Arc::clone(&home), request))
    })
    .await;
    Ok(())
}

async fn answer(home: Arc<Home>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let answered = tokio::time::timeout(TIMEOUT, exchange(&home, request)).await;
    let response = answered.unwrap_or_else(|_| {
        let text = format!("the request was not done within {} seconds", TIMEOUT.as_secs());
        refused(StatusCode::REQUEST_TIMEOUT, text)
    });
    Ok(response.map(Full::new))
}

async fn exchange(home: &Home, request: Request<Incoming>) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let (is_call, limit) = match head.uri.path() {
        PATH => (true, MAX_CALL_BYTES),
        "/" => (false, intake::MAX_REQUEST_BYTES),
        path => return refused(StatusCode::NOT_FOUND, format!("there is no {path} here, only {PATH} and /")),
    };
    if head.method != Method::POST {
        let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "every request is a POST".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {limit} bytes"));
        }
        Err(_) => return refused(StatusCode::BAD_REQUEST, "the body was cut off".to_owned()),
    };
    let verifier = if is_call { &home.calls } else { &home.intake };
    if let Err(refusal) = verifier.verify(&head, &body, (home.state.clock)()) {
        tracing::warn!(http.path = head.uri.path(), reason = %refusal, "a request to the home region was refused");
        return if is_call {
            refused(StatusCode::FORBIDDEN, refusal.to_string())
        } else {
            intake::error(StatusCode::FORBIDDEN, refusal.code(), &refusal.to_string())
        };
    }
    if is_call {
        let (status, json) = home.state.region.answer(&body, (home.state.clock)()).await;
        json_response(StatusCode::from_u16(status).expect("a status of HTTP"), json)
    } else {
        home.state.intake.answer(&head, &body).await
    }
}

fn json_response(status: StatusCode, json: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refused(status: StatusCode, text: String) -> Response<Bytes> {
    json_response(status, HomeReply::Error(HomeError::Refused { text }).to_json())
}
