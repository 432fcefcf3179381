//! `/videos`: the status view of a project's videos, and what may be asked for one of them.

use bytes::Bytes;
use http::{Response, StatusCode};
use streamio_events::id::CommitId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{VideoState, VideoStatus};

use super::Exchange;
use super::paging::{PageBody, Paging, refusal};
use crate::commands::CommandError;
use crate::port::Cause;
use crate::problem::{Problem, ProblemKind};
use crate::reply;
use crate::request::{IdempotencyKey, Query};
use crate::views::VideoFilter;

/// `GET /videos?state=&limit=&after=`
pub(super) async fn list(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let paging = Paging::take(&mut query)?;
    let state = query.take("state").map(|text| state_named(&text)).transpose()?;
    query.finish()?;
    let project = &exchange.tenant.project_id;
    let views = &exchange.edge.ports.views;
    let page = views.list(project, &VideoFilter { state }, paging.after.as_deref(), paging.limit).await;
    reply::json(StatusCode::OK, &PageBody::from(page.map_err(refusal)?))
}

fn state_named(text: &str) -> Result<VideoState, Problem> {
    VideoState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let names = VideoState::ALL.map(VideoState::as_str).join(", ");
        Problem::parameter("state", format!("must be one of: {names}"))
    })
}

/// `GET /videos/{id}?asOf=`
pub(super) async fn show(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let id = exchange.video_id()?;
    let as_of: Option<Timestamp> = query
        .take("asOf")
        .map(|text| text.parse().map_err(|error| Problem::parameter("asOf", format!("is {error}"))))
        .transpose()?;
    query.finish()?;
    let project = &exchange.tenant.project_id;
    let views = &exchange.edge.ports.views;
    let status = match as_of {
        None => views.video(project, &id).await,
        Some(at) => views.video_as_of(project, &id, at).await,
    };
    let missing = || match as_of {
        None => no_such_video(),
        Some(at) => Problem::new(ProblemKind::NoSuchVideo, format!("There was no such video at {at}.")),
    };
    reply::json(StatusCode::OK, &status.map_err(refusal)?.ok_or_else(missing)?)
}

/// `DELETE /videos/{id}`
pub(super) async fn delete(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    exchange.fields()?.finish()?;
    let id = exchange.video_id()?;
    let commit = commit_id(exchange, "delete", id.as_str())?;
    let answer = exchange.edge.ports.commands.delete(&exchange.tenant.project_id, &id, &commit).await;
    answered(StatusCode::OK, answer)
}

/// `POST /videos/{id}/reprocess`
pub(super) async fn reprocess(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    exchange.fields()?.finish()?;
    let id = exchange.video_id()?;
    let commit = commit_id(exchange, "reprocess", id.as_str())?;
    let answer = exchange.edge.ports.commands.reprocess(&exchange.tenant.project_id, &id, &commit).await;
    answered(StatusCode::ACCEPTED, answer)
}

fn answered(
    status: StatusCode,
    answer: Result<VideoStatus, CommandError>,
) -> Result<Response<Bytes>, Problem> {
    let video = answer.map_err(|error| match error {
        CommandError::NotFound => no_such_video(),
        CommandError::Conflict(reason) => Problem::new(ProblemKind::VideoConflict, reason),
        CommandError::Unavailable(_) => {
            Problem::unavailable("The command was not recorded, or nobody knows; with the same Idempotency-Key it is not given twice.", Cause::from(error))
        }
    })?;
    reply::json(status, &video)
}

fn no_such_video() -> Problem {
    Problem::new(ProblemKind::NoSuchVideo, ProblemKind::NoSuchVideo.advice())
}

/// The commit that a command becomes: the same for the same Idempotency-Key, project, command and video; without a
/// key a new one.
fn commit_id(exchange: &Exchange<'_>, command: &str, video: &str) -> Result<CommitId, Problem> {
    let (kind, cause) = match IdempotencyKey::of(exchange.headers)? {
        Some(key) => ("idempotency key", key.as_str().to_owned()),
        None => ("random", base16ct::lower::encode_string(&exchange.context.random[16..])),
    };
    Ok(CommitId::derived_from(&[command, exchange.tenant.project_id.as_str(), video, kind, &cause]))
}
