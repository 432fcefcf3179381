//! The calls, one module each.

mod events;
mod grant;
mod health;
mod openapi;
mod paging;
mod playback;
mod problems;
mod upload;
mod videos;

use bytes::Bytes;
use http::{HeaderMap, Response};
use streamio_events::id::VideoId;

use crate::directory::Tenant;
use crate::edge::{Context, Edge};
use crate::problem::Problem;
use crate::request::{Fields, Query, percent_decode};
use crate::route::Action;

/// One request of a known tenant.
pub(crate) struct Exchange<'a> {
    pub(crate) edge: &'a Edge,
    pub(crate) context: Context,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// What stands in the place of the braces of the call's path, not decoded.
    pub(crate) parameter: &'a str,
    /// The API key as it was sent: a secret.
    pub(crate) api_key: &'a str,
    pub(crate) tenant: &'a Tenant,
}

impl Exchange<'_> {
    /// The body's fields.
    fn fields(&self) -> Result<Fields, Problem> {
        Fields::parse(self.headers, self.body, self.api_key)
    }

    /// The video that the path names.
    fn video_id(&self) -> Result<VideoId, Problem> {
        let id = percent_decode(self.parameter).and_then(|text| text.parse().ok());
        id.ok_or_else(|| Problem::parameter("id", "must be a video id: vid_ followed by 26 of a-z and 2-7"))
    }
}

/// Answers a call that needs no API key.
pub(crate) fn answer_anyone(
    action: Action,
    parameter: &str,
    query: Query,
) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    match action {
        Action::ShowOpenApi => Ok(openapi::show()),
        Action::ExplainProblem => problems::explain(parameter),
        _ => health::show(),
    }
}

/// Answers a call of a tenant whose API key has the call's scope.
pub(crate) async fn answer_tenant(
    action: Action,
    exchange: &Exchange<'_>,
    query: Query,
) -> Result<Response<Bytes>, Problem> {
    match action {
        Action::GrantUpload => upload::grant(exchange, query).await,
        Action::GrantPlayback => playback::grant(exchange, query).await,
        Action::ListVideos => videos::list(exchange, query).await,
        Action::ShowVideo => videos::show(exchange, query).await,
        Action::ListVideoEvents => events::of_video(exchange, query).await,
        Action::DeleteVideo => videos::delete(exchange, query).await,
        Action::ReprocessVideo => videos::reprocess(exchange, query).await,
        Action::ListEvents => events::feed(exchange, query).await,
        Action::ShowOpenApi | Action::ShowHealth | Action::ExplainProblem => {
            answer_anyone(action, exchange.parameter, query)
        }
    }
}
