//! `GET /openapi.json`: the description of the API, converted from `openapi.yaml` when this crate is built.

use bytes::Bytes;
use http::Response;

use crate::reply;

static OPENAPI: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

pub(super) fn show() -> Response<Bytes> {
    reply::public("application/json", OPENAPI.as_bytes())
}
