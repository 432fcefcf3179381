//! `GET /healthz`: whether this process answers. It asks nobody else: a failing neighbour must not make a balancer
//! take the API itself away.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use crate::problem::Problem;
use crate::reply;

pub(super) fn show() -> Result<Response<Bytes>, Problem> {
    reply::json(StatusCode::OK, &json!({ "status": "ok" }))
}
