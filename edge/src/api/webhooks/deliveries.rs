//! `/webhook-deliveries`: the messages that were sent to endpoints, or are to be, with their attempts.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use http::{Response, StatusCode};
use streamio_events::home::{DeliveryFilter, WebhookCall};
use streamio_events::id::{MessageId, WebhookId};
use streamio_events::webhook::DeliveryState;

use super::respond;
use crate::api::Exchange;
use crate::api::paging::Paging;
use crate::problem::Problem;
use crate::request::{Query, percent_decode};

/// `GET /webhook-deliveries?webhookId=&videoId=&type=&state=&from=&to=&limit=&after=`
pub(in crate::api) async fn list(
    exchange: &Exchange<'_>,
    mut query: Query,
) -> Result<Response<Bytes>, Problem> {
    let Paging { limit, after } = Paging::take(&mut query)?;
    let filter = DeliveryFilter {
        webhook_id: take(&mut query, "webhookId")?,
        video_id: take(&mut query, "videoId")?,
        message_type: take(&mut query, "type")?,
        state: query.take("state").map(|text| state_named(&text)).transpose()?,
        from: take(&mut query, "from")?,
        to: take(&mut query, "to")?,
    };
    query.finish()?;
    let limit = u16::try_from(limit).unwrap_or(u16::MAX);
    respond(StatusCode::OK, exchange, &WebhookCall::ListDeliveries { filter, after, limit }).await
}

/// `GET /webhook-deliveries/{id}`
pub(in crate::api) async fn show(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let (webhook_id, message_id) = delivery_id(exchange)?;
    respond(StatusCode::OK, exchange, &WebhookCall::ShowDelivery { webhook_id, message_id }).await
}

/// `POST /webhook-deliveries/{id}/resend`
pub(in crate::api) async fn resend(
    exchange: &Exchange<'_>,
    query: Query,
) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    exchange.fields()?.finish()?;
    let (webhook_id, message_id) = delivery_id(exchange)?;
    let commit_id = exchange.commit_id("resend webhook", &format!("{webhook_id}.{message_id}"))?;
    let call = WebhookCall::Resend { webhook_id, message_id, commit_id };
    respond(StatusCode::ACCEPTED, exchange, &call).await
}

fn take<T: FromStr<Err: Display>>(query: &mut Query, name: &'static str) -> Result<Option<T>, Problem> {
    let parse = |text: String| {
        text.parse().map_err(|error: T::Err| Problem::parameter(name, format!("cannot be used: {error}")))
    };
    query.take(name).map(parse).transpose()
}

fn state_named(text: &str) -> Result<DeliveryState, Problem> {
    DeliveryState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let names = DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
        Problem::parameter("state", format!("must be one of: {names}"))
    })
}

/// The delivery that the path names.
fn delivery_id(exchange: &Exchange<'_>) -> Result<(WebhookId, MessageId), Problem> {
    let parse = || {
        let text = percent_decode(exchange.parameters.first)?;
        let (webhook_id, message_id) = text.split_once('.')?;
        Some((webhook_id.parse().ok()?, message_id.parse().ok()?))
    };
    parse().ok_or_else(|| {
        Problem::parameter("id", "must be a delivery id: a webhook id, a dot and a message id")
    })
}
