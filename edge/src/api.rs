//! The calls, one module each.

mod events;
mod grant;
mod health;
mod home_problem;
mod openapi;
mod paging;
mod playback;
mod problems;
mod upload;
mod videos;

pub(crate) use grant::not_recorded;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Response};
use streamio_events::id::VideoId;
use streamio_events::tenant::Tenant;

use crate::context::Context;
use crate::pending_response::PendingResponse;
use crate::problem::Problem;
use crate::request::{Fields, Query, percent_decode};
use crate::route::{PublicAction, TenantAction};
use crate::services::Services;

/// One request of an authenticated tenant.
pub(crate) struct Exchange<'a> {
    pub(crate) services: &'a Services,
    pub(crate) context: Context,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// The value of the path parameter, not decoded.
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

/// Handles a call that needs no API key.
pub(crate) fn handle_public(
    action: PublicAction,
    parameter: &str,
    query: Query,
) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    match action {
        PublicAction::ShowOpenApi => Ok(openapi::show()),
        PublicAction::ShowHealth => Ok(health::show()),
        PublicAction::ExplainProblem => problems::explain(parameter),
    }
}

/// The future of one call. Each call has a future of its own, so that a host compiles and holds only what a request needs.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) type CallFuture<'a> = Pin<Box<dyn Future<Output = Result<PendingResponse, Problem>> + Send + 'a>>;

/// The future of one call. Each call has a future of its own, so that a host compiles and holds only what a request needs.
#[cfg(target_arch = "wasm32")]
pub(crate) type CallFuture<'a> = Pin<Box<dyn Future<Output = Result<PendingResponse, Problem>> + 'a>>;

/// Handles a call of a tenant whose API key has the call's scope.
pub(crate) fn handle_tenant<'a>(
    action: TenantAction,
    exchange: &'a Exchange<'a>,
    query: Query,
) -> CallFuture<'a> {
    match action {
        TenantAction::GrantUpload => Box::pin(upload::grant(exchange, query)),
        TenantAction::GrantPlayback => Box::pin(playback::grant(exchange, query)),
        TenantAction::ListVideos => Box::pin(without_receipt(videos::list(exchange, query))),
        TenantAction::ShowVideo => Box::pin(without_receipt(videos::show(exchange, query))),
        TenantAction::ListVideoEvents => Box::pin(without_receipt(events::of_video(exchange, query))),
        TenantAction::DeleteVideo => Box::pin(without_receipt(videos::delete(exchange, query))),
        TenantAction::ReprocessVideo => Box::pin(without_receipt(videos::reprocess(exchange, query))),
        TenantAction::ListEvents => Box::pin(without_receipt(events::feed(exchange, query))),
    }
}

/// The result of a call that records no grant.
async fn without_receipt(
    call: impl Future<Output = Result<Response<Bytes>, Problem>>,
) -> Result<PendingResponse, Problem> {
    call.await.map(PendingResponse::from)
}
