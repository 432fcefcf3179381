//! The calls, one module each.

mod audit;
mod events;
mod grant;
mod health;
mod home_problem;
mod metadata;
mod openapi;
mod paging;
mod play;
mod playback;
mod problems;
mod upload;
mod usage;
mod videos;
mod webhooks;

pub(crate) use grant::not_recorded;
pub(crate) use play::{PLAY_PATH, PlayRequest};

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, Response, Uri};
use streamio_events::id::{CommitId, VideoId};
use streamio_events::tenant::Tenant;

use crate::context::Context;
use crate::ports::journal::Receipt;
use crate::problem::Problem;
use crate::request::{Fields, IdempotencyKey, Query, percent_decode};
use crate::route::{PublicAction, TenantAction};
use crate::services::Services;

/// One request of an authenticated tenant.
pub(crate) struct Exchange<'a> {
    pub(crate) services: &'a Services,
    pub(crate) context: Context,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// The value of the path parameter, not decoded.
    pub(crate) parameter: &'a str,
    /// The API key as it was sent: a secret.
    pub(crate) api_key: &'a str,
    pub(crate) tenant: &'a Tenant,
    /// The receipt of the grant that this request records. Kept here, not in the response, because the host has to wait for it also
    /// when the request fails after the grant was recorded.
    pub(crate) receipt: OnceLock<Box<dyn Receipt>>,
}

impl Exchange<'_> {
    /// The body's fields.
    fn fields(&self) -> Result<Fields, Problem> {
        Fields::parse(self.headers, self.body, self.api_key)
    }

    /// The body's fields, if the body is a JSON merge patch.
    fn patch_fields(&self) -> Result<Fields, Problem> {
        Fields::parse_patch(self.headers, self.body, self.api_key)
    }

    /// The id under which a command is recorded: derived from the Idempotency-Key, the project, the command and what it is about, or random
    /// without a key.
    fn commit_id(&self, command: &str, subject: &str) -> Result<CommitId, Problem> {
        let (kind, cause) = match IdempotencyKey::of(self.headers)? {
            Some(key) => ("idempotency key", key.as_str().to_owned()),
            None => ("random", base16ct::lower::encode_string(&self.context.random[16..])),
        };
        Ok(CommitId::derived_from(&[command, self.tenant.project_id.as_str(), subject, kind, &cause]))
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
pub(crate) type CallFuture<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Problem>> + Send + 'a>>;

/// The future of one call. Each call has a future of its own, so that a host compiles and holds only what a request needs.
#[cfg(target_arch = "wasm32")]
pub(crate) type CallFuture<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Problem>> + 'a>>;

/// Handles a viewer's request for a playlist.
pub(crate) fn handle_play(request: PlayRequest<'_>) -> CallFuture<'_> {
    Box::pin(play::show(request))
}

/// Handles a call of a tenant whose API key has the call's scope.
pub(crate) fn handle_tenant<'a>(
    action: TenantAction,
    exchange: &'a Exchange<'a>,
    query: Query,
) -> CallFuture<'a> {
    match action {
        TenantAction::GrantUpload => Box::pin(upload::grant(exchange, query)),
        TenantAction::GrantPlayback => Box::pin(playback::grant(exchange, query)),
        TenantAction::GrantVideoPlayback => Box::pin(playback::grant_video(exchange, query)),
        TenantAction::ListVideos => Box::pin(videos::list(exchange, query)),
        TenantAction::ShowVideo => Box::pin(videos::show(exchange, query)),
        TenantAction::ListVideoEvents => Box::pin(events::of_video(exchange, query)),
        TenantAction::UpdateVideo => Box::pin(videos::update(exchange, query)),
        TenantAction::DeleteVideo => Box::pin(videos::delete(exchange, query)),
        TenantAction::ReprocessVideo => Box::pin(videos::reprocess(exchange, query)),
        TenantAction::ListEvents => Box::pin(events::feed(exchange, query)),
        TenantAction::ShowUsage => Box::pin(usage::show(exchange, query)),
        TenantAction::CreateWebhook => Box::pin(webhooks::create(exchange, query)),
        TenantAction::ListWebhooks => Box::pin(webhooks::list(exchange, query)),
        TenantAction::ShowWebhookPublicKey => Box::pin(webhooks::public_key(exchange, query)),
        TenantAction::ShowWebhook => Box::pin(webhooks::show(exchange, query)),
        TenantAction::UpdateWebhook => Box::pin(webhooks::update(exchange, query)),
        TenantAction::RemoveWebhook => Box::pin(webhooks::remove(exchange, query)),
        TenantAction::RotateWebhookSecret => Box::pin(webhooks::rotate_secret(exchange, query)),
        TenantAction::TestWebhook => Box::pin(webhooks::test(exchange, query)),
        TenantAction::ListDeliveries => Box::pin(webhooks::deliveries::list(exchange, query)),
        TenantAction::ShowDelivery => Box::pin(webhooks::deliveries::show(exchange, query)),
        TenantAction::ShowCheckpoint => Box::pin(audit::checkpoint(exchange, query)),
        TenantAction::ShowAuditPublicKey => Box::pin(audit::public_key(exchange, query)),
        TenantAction::ShowTile => Box::pin(audit::tile(exchange, query)),
        TenantAction::ProveVideo => Box::pin(audit::video_proof(exchange, query)),
        TenantAction::ResendDelivery => Box::pin(webhooks::deliveries::resend(exchange, query)),
    }
}
