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

pub(crate) use grant::not_recorded;

use std::future::{Future, ready};
use std::pin::Pin;

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
        _ => Ok(health::show()),
    }
}

/// A call under way. Each is a function of its own, so that a host compiles and holds only what a request needs.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Problem>> + Send + 'a>>;

/// A call under way. Each is a function of its own, so that a host compiles and holds only what a request needs.
#[cfg(target_arch = "wasm32")]
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Problem>> + 'a>>;

/// Answers a call of a tenant whose API key has the call's scope.
pub(crate) fn answer_tenant<'a>(action: Action, exchange: &'a Exchange<'a>, query: Query) -> Answering<'a> {
    match action {
        Action::GrantUpload => Box::pin(upload::grant(exchange, query)),
        Action::GrantPlayback => Box::pin(playback::grant(exchange, query)),
        Action::ListVideos => Box::pin(videos::list(exchange, query)),
        Action::ShowVideo => Box::pin(videos::show(exchange, query)),
        Action::ListVideoEvents => Box::pin(events::of_video(exchange, query)),
        Action::DeleteVideo => Box::pin(videos::delete(exchange, query)),
        Action::ReprocessVideo => Box::pin(videos::reprocess(exchange, query)),
        Action::ListEvents => Box::pin(events::feed(exchange, query)),
        Action::ShowOpenApi | Action::ShowHealth | Action::ExplainProblem => {
            Box::pin(ready(answer_anyone(action, exchange.parameter, query)))
        }
    }
}
