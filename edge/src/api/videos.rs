//! `/videos`: the status view of a project's videos, and the commands on a video.

use bytes::Bytes;
use http::{Response, StatusCode};
use streamio_events::home::{HomeError, VideoFilter};
use streamio_events::id::CommitId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{VideoState, VideoStatus};

use super::paging::{PageBody, Paging};
use super::{Exchange, home_problem};
use crate::problem::{Problem, ProblemKind};
use crate::reply;
use crate::request::{IdempotencyKey, Query};

/// `GET /videos?state=&limit=&after=`
pub(super) async fn list(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let paging = Paging::take(&mut query)?;
    let state = query.take("state").map(|text| state_named(&text)).transpose()?;
    query.finish()?;
    let project = &exchange.tenant.project_id;
    let home = &exchange.services.ports.home;
    let page = home.list_videos(project, &VideoFilter { state }, paging.after.as_deref(), paging.limit).await;
    reply::json(StatusCode::OK, &PageBody::from(page.map_err(home_problem::of_read)?))
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
    let home = &exchange.services.ports.home;
    let status = match as_of {
        None => home.video(project, &id).await,
        Some(at) => home.video_as_of(project, &id, at).await,
    };
    let missing = || match as_of {
        None => home_problem::no_such_video(),
        Some(at) => Problem::new(ProblemKind::NoSuchVideo, format!("There was no such video at {at}.")),
    };
    reply::json(StatusCode::OK, &status.map_err(home_problem::of_read)?.ok_or_else(missing)?)
}

/// `DELETE /videos/{id}`
pub(super) async fn delete(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    exchange.fields()?.finish()?;
    let id = exchange.video_id()?;
    let commit = commit_id(exchange, "delete", id.as_str())?;
    let home = &exchange.services.ports.home;
    command_response(StatusCode::OK, home.delete_video(&exchange.tenant.project_id, &id, &commit).await)
}

/// `POST /videos/{id}/reprocess`
pub(super) async fn reprocess(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    exchange.fields()?.finish()?;
    let id = exchange.video_id()?;
    let commit = commit_id(exchange, "reprocess", id.as_str())?;
    let home = &exchange.services.ports.home;
    command_response(
        StatusCode::ACCEPTED,
        home.reprocess_video(&exchange.tenant.project_id, &id, &commit).await,
    )
}

fn command_response(
    success: StatusCode,
    status: Result<VideoStatus, HomeError>,
) -> Result<Response<Bytes>, Problem> {
    reply::json(success, &status.map_err(home_problem::of_command)?)
}

/// The id under which a command is recorded: derived from the Idempotency-Key, project, command and video, or random
/// without a key.
fn commit_id(exchange: &Exchange<'_>, command: &str, video: &str) -> Result<CommitId, Problem> {
    let (kind, cause) = match IdempotencyKey::of(exchange.headers)? {
        Some(key) => ("idempotency key", key.as_str().to_owned()),
        None => ("random", base16ct::lower::encode_string(&exchange.context.random[16..])),
    };
    Ok(CommitId::derived_from(&[command, exchange.tenant.project_id.as_str(), video, kind, &cause]))
}
