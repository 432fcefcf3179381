//! `GET /healthz`: whether this process answers. It asks nobody else: a failing neighbour must not make a balancer
//! take the API itself away.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::reply;

/// A text, because this is the first that many a process answers: nothing else need be ready for it.
pub(super) fn show() -> Response<Bytes> {
    reply::with_type(StatusCode::OK, reply::JSON, Bytes::from_static(br#"{"status":"ok"}"#))
}
