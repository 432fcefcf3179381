//! `/audit` and `GET /videos/{id}/proof`: the project's transparency log.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, VARY};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use streamio_events::home::{AuditCall, AuditResult, HomeError};

use super::paging::{PageBody, Paging};
use super::{Exchange, home_problem};
use crate::problem::Problem;
use crate::reply;
use crate::request::Query;

/// The path of tiles in their own names, in which C2SP `tlog-tiles` defines them.
const TILES: &str = "tile/";

/// A tile of a name never changes. `private`, because an API key is needed for it. The paths are the same for all projects, so the headers with
/// the key belong to what a cache compares.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
const KEY_HEADERS: HeaderValue = HeaderValue::from_static("authorization, x-api-key");

/// The response to `GET /audit/public-key`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicKeyBody {
    public_key: String,
}

/// `GET /audit/checkpoint`
pub(super) async fn checkpoint(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    match call(exchange, &AuditCall::Checkpoint).await.map_err(home_problem::of_audit)? {
        AuditResult::Checkpoint(note) => {
            Ok(reply::with_type(StatusCode::OK, "text/plain; charset=utf-8", note.into()))
        }
        _ => Err(other_result()),
    }
}

/// `GET /audit/public-key`
pub(super) async fn public_key(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    match call(exchange, &AuditCall::PublicKey).await.map_err(home_problem::of_audit)? {
        AuditResult::PublicKey(public_key) => reply::json(StatusCode::OK, &PublicKeyBody { public_key }),
        _ => Err(other_result()),
    }
}

/// `GET /audit/tile/{key}`
pub(super) async fn tile(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let path = [TILES, exchange.parameters.first].concat();
    match call(exchange, &AuditCall::Tile { path }).await.map_err(home_problem::of_audit)? {
        AuditResult::Tile(bytes) => {
            let mut response =
                reply::with_type(StatusCode::OK, "application/octet-stream", Bytes::from(bytes));
            response.headers_mut().insert(CACHE_CONTROL, IMMUTABLE);
            response.headers_mut().append(VARY, KEY_HEADERS);
            Ok(response)
        }
        _ => Err(other_result()),
    }
}

/// `GET /videos/{id}/proof?limit=&after=`: the commits of one video with their proofs, the first one first.
pub(super) async fn video_proof(
    exchange: &Exchange<'_>,
    mut query: Query,
) -> Result<Response<Bytes>, Problem> {
    let video_id = exchange.video_id()?;
    let Paging { limit, after } = Paging::take(&mut query)?;
    query.finish()?;
    let limit = u16::try_from(limit).map_err(Problem::internal)?;
    let result = call(exchange, &AuditCall::VideoProof { video_id, after, limit }).await;
    match result.map_err(|error| match error {
        HomeError::NotFound => home_problem::no_such_video(),
        other => home_problem::of_audit(other),
    })? {
        AuditResult::VideoProof(page) => reply::json(StatusCode::OK, &PageBody::from(page)),
        _ => Err(other_result()),
    }
}

async fn call(exchange: &Exchange<'_>, call: &AuditCall) -> Result<AuditResult, HomeError> {
    exchange.services.ports.home.audit(&exchange.tenant.project_id, call).await
}

fn other_result() -> Problem {
    Problem::internal("the home region has returned the result of another call")
}
