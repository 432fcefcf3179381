//! `GET /videos/{id}/events` and `GET /events`: events as CloudEvents.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::home::FeedPage;

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

/// The response body of `GET /events`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeedBody {
    data: Vec<CloudEvent>,
    /// For the next page, if there may be more events already.
    next_cursor: Option<String>,
    /// The position after the page, from which a client can wait for new events.
    position: Option<String>,
}

/// `GET /events?limit=&after=`: the project's feed. Once the project has an event, every page has a position, so that a client
/// can poll.
pub(super) async fn feed(exchange: &Exchange<'_>, mut query: Query) -> Result<Response<Bytes>, Problem> {
    let Paging { limit, after } = Paging::take(&mut query)?;
    query.finish()?;
    let project = &exchange.tenant.project_id;
    let page = exchange.services.ports.home.feed(project, after.as_deref(), limit).await;
    let FeedPage { data, position, more } = page.map_err(home_problem::of_read)?;
    let position = position.or(after);
    let next_cursor = position.clone().filter(|_| more);
    reply::json(StatusCode::OK, &FeedBody { data, next_cursor, position })
}
