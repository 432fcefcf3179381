//! Builders of successful responses.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::problem::Problem;

/// The media type of successful responses.
pub(crate) const JSON: &str = "application/json";

/// A response with `body` as JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response<Bytes>, Problem> {
    let body = serde_json::to_vec(body).map_err(Problem::internal)?;
    Ok(with_type(status, JSON, Bytes::from(body)))
}

/// A response that is the same for all clients and may be cached for five minutes.
pub(crate) fn public(content_type: &'static str, body: &'static [u8]) -> Response<Bytes> {
    let mut response = with_type(StatusCode::OK, content_type, Bytes::from_static(body));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A response with this content type and body.
pub(crate) fn with_type(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
