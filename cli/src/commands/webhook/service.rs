//! The calls about webhooks, made through the API or with the tables of a deployment on AWS. Both have the same results.

use serde_json::Value;
#[cfg(feature = "aws")]
use streamio_events::home::{DeliveryFilter, WebhookCall};
#[cfg(feature = "aws")]
use streamio_events::id::ProjectId;
use streamio_events::id::WebhookId;
#[cfg(feature = "aws")]
use streamio_events::webhook::endpoint::EndpointChanges;
#[cfg(feature = "aws")]
use streamio_events::webhook::replay::{DEFAULT_RATE, FeedBound, ReplayKind, ReplayRequest};
#[cfg(feature = "aws")]
use streamio_lambdas::operator::{AwsOperator, new_command};

use super::deliveries::DeliveryId;
use crate::client::Client;
use crate::client::webhooks::{DeliveryQuery, RecoverFields, ReplayFields, WebhookFields};
use crate::client::wire::CursorPage;
#[cfg(feature = "aws")]
use crate::commands::aws;
use crate::commands::confirm::Change;
#[cfg(feature = "aws")]
use crate::commands::confirm::confirm;
use crate::exit::Failure;
use crate::output::Output;

/// How many deliveries a page has, as in the API.
#[cfg(feature = "aws")]
const PAGE: u32 = 20;

/// An open target.
pub(super) enum Service {
    Api(Box<Client>),
    #[cfg(feature = "aws")]
    Aws {
        operator: Box<AwsOperator>,
        project_id: ProjectId,
    },
}

impl Service {
    /// States on AWS what is about to be changed where, and asks unless `yes`. A change through the API needs no approval.
    pub(super) fn approve(&self, yes: bool, change: &Change<'_>, output: Output) -> Result<(), Failure> {
        #[cfg(feature = "aws")]
        if let Self::Aws { operator, project_id } = self {
            let place = format!("project {project_id}, {}", aws::place(operator));
            if yes {
                output.note(&place);
                return Ok(());
            }
            // Also with --quiet: without it, nobody could answer the question.
            crate::output::write_note(&place);
            return confirm(change);
        }
        let _ = (yes, change, output);
        Ok(())
    }

    pub(super) async fn list(&self) -> Result<CursorPage, Failure> {
        match self {
            Self::Api(client) => Ok(client.webhooks().await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => page(operator, project_id, WebhookCall::List).await,
        }
    }

    pub(super) async fn show(&self, id: &WebhookId) -> Result<Value, Failure> {
        match self {
            Self::Api(client) => Ok(client.webhook(id).await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                call(operator, project_id, WebhookCall::Show { webhook_id: id.clone() }).await
            }
        }
    }

    /// Sends messages to an endpoint, or none.
    pub(super) async fn switch(&self, id: &WebhookId, enabled: bool) -> Result<Value, Failure> {
        match self {
            Self::Api(client) => {
                let changes = WebhookFields { enabled: Some(enabled), ..WebhookFields::default() };
                Ok(client.update_webhook(id, &changes).await?)
            }
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                let changes = EndpointChanges { enabled: Some(enabled), ..EndpointChanges::default() };
                let (webhook_id, commit_id) = (id.clone(), new_command());
                call(operator, project_id, WebhookCall::Update { webhook_id, commit_id, changes }).await
            }
        }
    }

    pub(super) async fn remove(&self, id: &WebhookId) -> Result<(), Failure> {
        match self {
            Self::Api(client) => Ok(client.remove_webhook(id).await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                let (webhook_id, commit_id) = (id.clone(), new_command());
                call(operator, project_id, WebhookCall::Remove { webhook_id, commit_id }).await.map(drop)
            }
        }
    }

    pub(super) async fn deliveries(
        &self,
        query: &DeliveryQuery,
        limit: Option<u32>,
        after: Option<&str>,
    ) -> Result<CursorPage, Failure> {
        match self {
            Self::Api(client) => Ok(client.webhook_deliveries(query, limit, after).await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                let limit = limit.unwrap_or(PAGE);
                let Some(limit) = u16::try_from(limit).ok().filter(|limit| (1..=100).contains(limit)) else {
                    return Err(Failure::usage("--limit must be 1 to 100", ""));
                };
                let filter = DeliveryFilter {
                    webhook_id: query.webhook_id.clone(),
                    video_id: query.video_id.clone(),
                    message_type: query.message_type,
                    state: query.state,
                    from: query.from,
                    to: query.to,
                };
                let after = after.map(str::to_owned);
                page(operator, project_id, WebhookCall::ListDeliveries { filter, after, limit }).await
            }
        }
    }

    pub(super) async fn delivery(&self, id: &DeliveryId) -> Result<Value, Failure> {
        match self {
            Self::Api(client) => Ok(client.webhook_delivery(id.as_str()).await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                let (webhook_id, message_id) = id.as_str().split_once('.').unwrap_or_default();
                let (webhook_id, message_id) = (parsed(webhook_id)?, parsed(message_id)?);
                call(operator, project_id, WebhookCall::ShowDelivery { webhook_id, message_id }).await
            }
        }
    }

    pub(super) async fn recover(&self, id: &WebhookId, fields: &RecoverFields) -> Result<Value, Failure> {
        match self {
            Self::Api(client) => Ok(client.recover_webhook(id, fields).await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                let request = ReplayRequest {
                    kind: ReplayKind::Recover,
                    from: FeedBound::Time(fields.since),
                    to: None,
                    types: fields.types.clone(),
                    rate: fields.rate.unwrap_or(DEFAULT_RATE),
                };
                start(operator, project_id, id, request).await
            }
        }
    }

    pub(super) async fn replay(&self, id: &WebhookId, fields: &ReplayFields) -> Result<Value, Failure> {
        match self {
            Self::Api(client) => Ok(client.replay_webhook(id, fields).await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                let request = ReplayRequest {
                    kind: ReplayKind::Replay,
                    from: fields.from,
                    to: fields.to,
                    types: fields.types.clone(),
                    rate: fields.rate.unwrap_or(DEFAULT_RATE),
                };
                start(operator, project_id, id, request).await
            }
        }
    }

    pub(super) async fn jobs(&self, id: &WebhookId) -> Result<CursorPage, Failure> {
        match self {
            Self::Api(client) => Ok(client.webhook_replays(id).await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                page(operator, project_id, WebhookCall::ListReplays { webhook_id: id.clone() }).await
            }
        }
    }

    pub(super) async fn job(&self, id: &WebhookId, replay: &str) -> Result<Value, Failure> {
        match self {
            Self::Api(client) => Ok(client.webhook_replay(id, replay).await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                let (webhook_id, replay_id) = (id.clone(), parsed(replay)?);
                call(operator, project_id, WebhookCall::ShowReplay { webhook_id, replay_id }).await
            }
        }
    }

    pub(super) async fn cancel(&self, id: &WebhookId, replay: &str) -> Result<Value, Failure> {
        match self {
            Self::Api(client) => Ok(client.cancel_webhook_replay(id, replay).await?),
            #[cfg(feature = "aws")]
            Self::Aws { operator, project_id } => {
                let (webhook_id, replay_id, commit_id) = (id.clone(), parsed(replay)?, new_command());
                let cancel = WebhookCall::CancelReplay { webhook_id, replay_id, commit_id };
                call(operator, project_id, cancel).await
            }
        }
    }
}

#[cfg(feature = "aws")]
async fn call(operator: &AwsOperator, project_id: &ProjectId, call: WebhookCall) -> Result<Value, Failure> {
    Box::pin(operator.webhooks(project_id, &call)).await.map_err(aws::failure)
}

#[cfg(feature = "aws")]
async fn page(
    operator: &AwsOperator,
    project_id: &ProjectId,
    list: WebhookCall,
) -> Result<CursorPage, Failure> {
    let page = call(operator, project_id, list).await?;
    serde_json::from_value(page).map_err(unexpected)
}

#[cfg(feature = "aws")]
async fn start(
    operator: &AwsOperator,
    project_id: &ProjectId,
    id: &WebhookId,
    request: ReplayRequest,
) -> Result<Value, Failure> {
    let (webhook_id, commit_id) = (id.clone(), new_command());
    call(operator, project_id, WebhookCall::StartReplay { webhook_id, commit_id, request }).await
}

#[cfg(feature = "aws")]
fn parsed<T: std::str::FromStr<Err: std::error::Error>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(unexpected)
}

/// What this program itself has made cannot be read.
#[cfg(feature = "aws")]
fn unexpected(error: impl std::error::Error) -> Failure {
    Failure::new(crate::exit::Exit::Failed, error.to_string(), "")
}
