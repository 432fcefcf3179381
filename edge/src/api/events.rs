//! `GET /videos/{id}/events` and `GET /events`: what happened, as CloudEvents.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::Exchange;
use super::paging::{PageBody, Paging, refusal};
use crate::problem::{Problem, ProblemKind};
use crate::reply;
use crate::request::Query;

/// `GET /videos/{id}/events?limit=&after=`: one video's history, the first event first.
pub(super) async fn of_video(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let id = exchange.video_id()?;
    let Paging { limit, after } = Paging::take(&mut query)?;
    query.finish()?;
    let project = &exchange.tenant.project_id;
    let page = exchange.edge.ports.views.video_events(project, &id, after.as_deref(), limit).await;
    let missing = || Problem::new(ProblemKind::NoSuchVideo, ProblemKind::NoSuchVideo.advice());
    reply::json(StatusCode::OK, &PageBody::from(page.map_err(refusal)?.ok_or_else(missing)?))
}

/// `GET /events?limit=&after=`: the project's feed. Whoever polls it always gets a cursor to go on from, once there
/// was one event.
pub(super) async fn feed(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let Paging { limit, after } = Paging::take(&mut query)?;
    query.finish()?;
    let project = &exchange.tenant.project_id;
    let mut page = exchange.edge.ports.views.feed(project, after.as_deref(), limit).await.map_err(refusal)?;
    page.next = page.next.or(after);
    reply::json(StatusCode::OK, &PageBody::from(page))
}
