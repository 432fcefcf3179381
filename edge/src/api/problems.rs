//! `GET /problems/{slug}`: what the `type` of a refusal means. RFC 9457 wants it to lead to an explanation.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use crate::problem::{Problem, ProblemKind};
use crate::reply;

#[inline(never)]
pub(super) fn explain(slug: &str) -> Result<Response<Bytes>, Problem> {
    let kind = ProblemKind::ALL.iter().find(|kind| kind.slug() == slug).ok_or_else(|| {
        Problem::new(
            ProblemKind::NoSuchPath,
            "There is no problem type of this name. See `/openapi.json` for all.",
        )
    })?;
    let explanation = json!({
        "type": kind.uri(),
        "title": kind.title(),
        "status": kind.status().as_u16(),
        "advice": kind.advice(),
    });
    reply::json(StatusCode::OK, &explanation)
}
