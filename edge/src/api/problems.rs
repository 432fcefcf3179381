//! `GET /problems/{slug}`: the explanation of a problem `type`, which RFC 9457 asks to be available at its URI.

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
            "There is no problem type of this name. `/openapi.json` lists all.",
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
