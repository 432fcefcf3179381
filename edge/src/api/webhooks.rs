//! `/webhooks`: the endpoints to which messages about videos are sent.

pub(super) mod deliveries;
pub(super) mod replays;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use streamio_events::home::{WebhookCall, WebhookOutcome, WebhookResult};
use streamio_events::id::WebhookId;
use streamio_events::webhook::endpoint::EndpointChanges;
use streamio_events::webhook::message_type::UnknownTypePattern;
use streamio_events::webhook::schedule::SECRET_OVERLAP;
use streamio_events::webhook::{MessageType, TypePattern};

use super::grant::replayed;
use super::{Exchange, home_problem};
use crate::problem::Problem;
use crate::reply;
use crate::request::{Fields, Query, percent_decode};

/// The response to `GET /webhooks`: a page, like those of other lists. A project has few endpoints, so there is one page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListBody<T> {
    data: T,
    next_cursor: Option<String>,
}

/// The response to `GET /webhooks/public-key`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicKeyBody {
    public_key: String,
}

/// `POST /webhooks`
pub(super) async fn create(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let mut fields = exchange.fields()?;
    let url = fields.required_text("url");
    let types =
        take_types(&mut fields).or_else(|| (!fields.has_error("types")).then(|| vec![TypePattern::All]));
    let description = fields.text("description");
    let rate_limit = take_rate_limit(&mut fields);
    fields.finish()?;
    let (Some(url), Some(types)) = (url, types) else { return Err(Problem::internal("an error was added")) };
    let commit_id = exchange.commit_id("create webhook", "")?;
    let call = WebhookCall::Create { commit_id, url, types, description, rate_limit };
    respond(StatusCode::CREATED, exchange, &call).await
}

/// `GET /webhooks`
pub(super) async fn list(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    respond(StatusCode::OK, exchange, &WebhookCall::List).await
}

/// `GET /webhooks/public-key`
pub(super) async fn public_key(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    respond(StatusCode::OK, exchange, &WebhookCall::PublicKey).await
}

/// `GET /webhooks/{id}`
pub(super) async fn show(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    respond(StatusCode::OK, exchange, &WebhookCall::Show { webhook_id: webhook_id(exchange)? }).await
}

/// `PATCH /webhooks/{id}`
pub(super) async fn update(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let mut fields = exchange.patch_fields()?;
    for name in ["url", "types", "enabled"] {
        if fields.is_null(name) {
            fields.refuse(name, "cannot be removed, only changed");
        }
    }
    let removes_description = fields.is_null("description");
    let removes_rate_limit = fields.is_null("rateLimit");
    let changes = EndpointChanges {
        url: fields.text("url"),
        types: take_types(&mut fields),
        description: if removes_description { Some(String::new()) } else { fields.text("description") },
        rate_limit: if removes_rate_limit { Some(0) } else { take_rate_limit(&mut fields) },
        enabled: fields.boolean("enabled"),
    };
    fields.finish()?;
    let webhook_id = webhook_id(exchange)?;
    let commit_id = exchange.commit_id("update webhook", webhook_id.as_str())?;
    respond(StatusCode::OK, exchange, &WebhookCall::Update { webhook_id, commit_id, changes }).await
}

/// `DELETE /webhooks/{id}`
pub(super) async fn remove(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    exchange.fields()?.finish()?;
    let webhook_id = webhook_id(exchange)?;
    let commit_id = exchange.commit_id("remove webhook", webhook_id.as_str())?;
    respond(StatusCode::NO_CONTENT, exchange, &WebhookCall::Remove { webhook_id, commit_id }).await
}

/// `POST /webhooks/{id}/rotate-secret`
pub(super) async fn rotate_secret(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let mut fields = exchange.fields()?;
    let overlap_seconds = match fields.whole_number("overlapSeconds") {
        Some(seconds) => u32::try_from(seconds).unwrap_or(u32::MAX),
        None => u32::try_from(SECRET_OVERLAP.as_secs()).unwrap_or(u32::MAX),
    };
    fields.finish()?;
    let webhook_id = webhook_id(exchange)?;
    let commit_id = exchange.commit_id("rotate webhook secret", webhook_id.as_str())?;
    let call = WebhookCall::RotateSecret { webhook_id, commit_id, overlap_seconds };
    respond(StatusCode::OK, exchange, &call).await
}

/// `POST /webhooks/{id}/test`
pub(super) async fn test(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let mut fields = exchange.fields()?;
    let requested = fields.text("type").map(|text| text.parse::<MessageType>());
    if let Some(Err(unknown)) = &requested {
        fields.refuse("type", format!("cannot be used: {unknown}"));
    }
    fields.finish()?;
    let message_type = requested.and_then(Result::ok).unwrap_or(MessageType::VideoReady);
    let webhook_id = webhook_id(exchange)?;
    let commit_id = exchange.commit_id("test webhook", webhook_id.as_str())?;
    respond(StatusCode::ACCEPTED, exchange, &WebhookCall::Test { webhook_id, commit_id, message_type }).await
}

/// Makes the call, and returns the response with its result.
async fn respond(
    success: StatusCode,
    exchange: &Exchange<'_>,
    call: &WebhookCall,
) -> Result<Response<Bytes>, Problem> {
    let home = &exchange.services.ports.home;
    let outcome = home.webhooks(&exchange.tenant.project_id, call).await;
    let WebhookOutcome { result, repeated } = outcome.map_err(home_problem::of_webhooks)?;
    let response = match result {
        WebhookResult::Created(created) => reply::json(success, &created),
        WebhookResult::Endpoints(data) => reply::json(success, &ListBody { data, next_cursor: None }),
        WebhookResult::Endpoint(endpoint) => reply::json(success, &endpoint),
        WebhookResult::Removed(_) => Ok(reply::empty(success)),
        WebhookResult::PublicKey(public_key) => reply::json(success, &PublicKeyBody { public_key }),
        WebhookResult::Deliveries(page) => {
            reply::json(success, &ListBody { data: page.data, next_cursor: page.next })
        }
        WebhookResult::Delivery(delivery) => reply::json(success, &delivery),
        WebhookResult::Replays(data) => reply::json(success, &ListBody { data, next_cursor: None }),
        WebhookResult::Replay(replay) => reply::json(success, &replay),
    };
    if repeated { replayed(response) } else { response }
}

/// The webhook that the path names.
fn webhook_id(exchange: &Exchange<'_>) -> Result<WebhookId, Problem> {
    let id = percent_decode(exchange.parameters.first).and_then(|text| text.parse().ok());
    id.ok_or_else(|| Problem::parameter("id", "must be a webhook id: whk_ followed by 26 of a-z and 2-7"))
}

fn take_types(fields: &mut Fields) -> Option<Vec<TypePattern>> {
    let texts = fields.list_of_texts("types")?;
    let mut types = Vec::with_capacity(texts.len());
    for text in texts {
        match text.parse() {
            Ok(pattern) => types.push(pattern),
            Err(unknown) => {
                let unknown: UnknownTypePattern = unknown;
                fields.refuse("types", format!("cannot be used: {unknown}"));
                return None;
            }
        }
    }
    Some(types)
}

fn take_rate_limit(fields: &mut Fields) -> Option<u32> {
    let limit = fields.whole_number("rateLimit")?;
    Some(u32::try_from(limit).unwrap_or(u32::MAX))
}
