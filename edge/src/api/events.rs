//! `GET /videos/{id}/events` and `GET /events`: events as CloudEvents.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::paging::{PageBody, Paging};
use super::{Exchange, home_problem};
use crate::problem::Problem;
use crate::reply;
use crate::request::Query;

/// `GET /videos/{id}/events?limit=&after=`: one video's events, the first event first.
pub(super) async fn of_video(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let id = exchange.video_id()?;
    let Paging { limit, after } = Paging::take(&mut query)?;
    query.finish()?;
    let project = &exchange.tenant.project_id;
    let page = exchange.services.ports.home.video_events(project, &id, after.as_deref(), limit).await;
    let page = page.map_err(home_problem::of_read)?.ok_or_else(home_problem::no_such_video)?;
    reply::json(StatusCode::OK, &PageBody::from(page))
}

/// `GET /events?limit=&after=`: the project's feed. Once the project has an event, every page has a cursor, so that a client
/// can poll.
pub(super) async fn feed(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let Paging { limit, after } = Paging::take(&mut query)?;
    query.finish()?;
    let project = &exchange.tenant.project_id;
    let page = exchange.services.ports.home.feed(project, after.as_deref(), limit).await;
    let mut page = page.map_err(home_problem::of_read)?;
    page.next = page.next.or(after);
    reply::json(StatusCode::OK, &PageBody::from(page))
}
