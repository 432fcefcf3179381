//! `/videos`: the status view of a project's videos, and the commands on a video.

use bytes::Bytes;
use http::{Response, StatusCode};
use streamio_events::home::{Commanded, HomeError, VideoFilter};
use streamio_events::nfc::to_nfc;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoState;

use super::grant::replayed;
use super::paging::{PageBody, Paging};
use super::{Exchange, home_problem, metadata};
use crate::problem::{Problem, ProblemKind};
use crate::reply;
use crate::request::Query;

/// The longest `prefix`, in bytes: as long as a key.
const MAX_PREFIX_BYTES: usize = 1024;

/// `GET /videos?state=&prefix=&metadata.{name}=&limit=&after=`
pub(super) async fn list(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let paging = Paging::take(&mut query)?;
    let state = query.take("state").map(|text| state_named(&text)).transpose()?;
    let prefix = query.take("prefix").map(|text| key_prefix(&text)).transpose()?;
    let metadata = metadata::take_filter(&mut query)?;
    query.finish()?;
    let project = &exchange.tenant.project_id;
    let home = &exchange.services.ports.home;
    let filter = VideoFilter { state, prefix, metadata };
    let page = home.list_videos(project, &filter, paging.after.as_deref(), paging.limit).await;
    reply::json(StatusCode::OK, &PageBody::from(page.map_err(home_problem::of_read)?))
}

fn state_named(text: &str) -> Result<VideoState, Problem> {
    VideoState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let names = VideoState::ALL.map(VideoState::as_str).join(", ");
        Problem::parameter("state", format!("must be one of: {names}"))
    })
}

/// The beginning of keys within the project's folder, in NFC, the form of all keys.
fn key_prefix(text: &str) -> Result<String, Problem> {
    let refused = |detail: String| Err(Problem::parameter("prefix", detail));
    let prefix = to_nfc(text);
    if !(1..=MAX_PREFIX_BYTES).contains(&prefix.len()) {
        return refused(format!("must be 1 to {MAX_PREFIX_BYTES} bytes of UTF-8"));
    }
    if prefix.starts_with('/') {
        return refused(
            "begins with a slash: give the key without `projects/{project}/`, such as films/2026/".to_owned(),
        );
    }
    if prefix.chars().any(char::is_control) {
        return refused("contains a control character, which no key has".to_owned());
    }
    Ok(prefix.into_owned())
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

/// `PATCH /videos/{id}`
pub(super) async fn update(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let mut fields = exchange.patch_fields()?;
    let patch = metadata::take_patch(&mut fields);
    fields.finish()?;
    let id = exchange.video_id()?;
    let commit = exchange.commit_id("update", id.as_str())?;
    let home = &exchange.services.ports.home;
    let project_id = &exchange.tenant.project_id;
    command_response(StatusCode::OK, home.update_video(project_id, &id, &commit, &patch).await)
}

/// `DELETE /videos/{id}`
pub(super) async fn delete(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    exchange.fields()?.finish()?;
    let id = exchange.video_id()?;
    let commit = exchange.commit_id("delete", id.as_str())?;
    let home = &exchange.services.ports.home;
    command_response(StatusCode::OK, home.delete_video(&exchange.tenant.project_id, &id, &commit).await)
}

/// `POST /videos/{id}/reprocess`
pub(super) async fn reprocess(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    exchange.fields()?.finish()?;
    let id = exchange.video_id()?;
    let commit = exchange.commit_id("reprocess", id.as_str())?;
    let home = &exchange.services.ports.home;
    command_response(
        StatusCode::ACCEPTED,
        home.reprocess_video(&exchange.tenant.project_id, &id, &commit).await,
    )
}

fn command_response(
    success: StatusCode,
    outcome: Result<Commanded, HomeError>,
) -> Result<Response<Bytes>, Problem> {
    let Commanded { status, repeated } = outcome.map_err(home_problem::of_command)?;
    let response = reply::json(success, &status);
    if repeated { replayed(response) } else { response }
}
