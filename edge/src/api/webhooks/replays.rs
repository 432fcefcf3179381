//! `/webhooks/{id}/recover`, `/replay` and `/replays`: jobs that send messages to an endpoint again.

use bytes::Bytes;
use http::{Response, StatusCode};
use streamio_events::home::WebhookCall;
use streamio_events::id::ReplayId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::replay::{DEFAULT_RATE, FeedBound, ReplayKind, ReplayRequest};

use super::{respond, take_types, webhook_id};
use crate::api::Exchange;
use crate::problem::Problem;
use crate::request::{Fields, Query, percent_decode};

/// `POST /webhooks/{id}/recover`
pub(in crate::api) async fn recover(
    exchange: &Exchange<'_>,
    query: Query,
) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let mut fields = exchange.fields()?;
    let since = fields.required_text("since").map(|text| text.parse::<Timestamp>());
    if let Some(Err(error)) = &since {
        fields.refuse("since", format!("cannot be used: {error}"));
    }
    let from = since.and_then(Result::ok).map(FeedBound::Time);
    start(exchange, fields, ReplayKind::Recover, from, None).await
}

/// `POST /webhooks/{id}/replay`
pub(in crate::api) async fn replay(
    exchange: &Exchange<'_>,
    query: Query,
) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let mut fields = exchange.fields()?;
    let from = fields.feed_bound("from");
    if from.is_none() && !fields.has_error("from") {
        fields.refuse("from", "is missing");
    }
    let to = fields.feed_bound("to");
    start(exchange, fields, ReplayKind::Replay, from, to).await
}

/// `GET /webhooks/{id}/replays`
pub(in crate::api) async fn list(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    respond(StatusCode::OK, exchange, &WebhookCall::ListReplays { webhook_id: webhook_id(exchange)? }).await
}

/// `GET /webhooks/{id}/replays/{replayId}`
pub(in crate::api) async fn show(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let (webhook_id, replay_id) = (webhook_id(exchange)?, replay_id(exchange)?);
    respond(StatusCode::OK, exchange, &WebhookCall::ShowReplay { webhook_id, replay_id }).await
}

/// `DELETE /webhooks/{id}/replays/{replayId}`
pub(in crate::api) async fn cancel(
    exchange: &Exchange<'_>,
    query: Query,
) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    exchange.fields()?.finish()?;
    let (webhook_id, replay_id) = (webhook_id(exchange)?, replay_id(exchange)?);
    let commit_id = exchange.commit_id("cancel webhook replay", &format!("{webhook_id}.{replay_id}"))?;
    respond(StatusCode::OK, exchange, &WebhookCall::CancelReplay { webhook_id, replay_id, commit_id }).await
}

/// Starts a job with the fields that both kinds have, and the bounds that were taken from `fields`.
async fn start(
    exchange: &Exchange<'_>,
    mut fields: Fields,
    kind: ReplayKind,
    from: Option<FeedBound>,
    to: Option<FeedBound>,
) -> Result<Response<Bytes>, Problem> {
    let types = take_types(&mut fields);
    let rate = fields.whole_number("rate").map(|rate| u32::try_from(rate).unwrap_or(u32::MAX));
    fields.finish()?;
    let Some(from) = from else { return Err(Problem::internal("an error was added")) };
    let webhook_id = webhook_id(exchange)?;
    // Of both kinds: the same key for another kind of job is a mistake.
    let commit_id = exchange.commit_id("replay webhook", webhook_id.as_str())?;
    let request = ReplayRequest { kind, from, to, types, rate: rate.unwrap_or(DEFAULT_RATE) };
    respond(StatusCode::ACCEPTED, exchange, &WebhookCall::StartReplay { webhook_id, commit_id, request })
        .await
}

/// The job that the path names.
fn replay_id(exchange: &Exchange<'_>) -> Result<ReplayId, Problem> {
    let id = percent_decode(exchange.parameters.second).and_then(|text| text.parse().ok());
    id.ok_or_else(|| {
        Problem::parameter("replayId", "must be a replay id: rpl_ followed by 26 of a-z and 2-7")
    })
}
