//! `GET /healthz`: whether this process responds. It checks no other service: a failure elsewhere must not make a load
//! balancer remove the API.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::reply;

/// A constant text: this is often a process's first response and needs nothing else to be initialised.
pub(super) fn show() -> Response<Bytes> {
    reply::with_type(StatusCode::OK, reply::JSON, Bytes::from_static(br#"{"status":"ok"}"#))
}
