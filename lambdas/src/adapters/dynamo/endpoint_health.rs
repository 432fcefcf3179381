//! How webhook endpoints have answered lately.
//!
//! An endpoint is one item, with the time of the last success, and with what is known of the failures after it as JSON. While there are no
//! failures, a success is one write without a read. Everything else is read, changed, and written if the item is still as it was read, so
//! that concurrent attempts are all counted. One item takes 1,000 writes a second.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use streamio_core::ports::AdapterError;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::DeliveryError;
use streamio_events::webhook::status::EndpointHealth;

use super::DynamoViews;
use super::item::{Item, ONLY_ITEM, key, text, text_of};
use crate::adapters::pauses::pauses;

/// The attribute with the time of the last success.
const SUCCEEDED: &str = "succeeded_at";

/// The attribute with the other fields of [`EndpointHealth`]; absent if no attempt has failed since the last success.
const FAILURES: &str = "failures";

/// For how long after a failure another one with the same code is not stored.
const COVERED_FOR: Duration = Duration::from_secs(1);

/// The attributes of an item as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stored {
    succeeded_at: Option<String>,
    failures: Option<String>,
}

impl Stored {
    fn of_item(item: Option<&Item>) -> Self {
        let attribute = |name| item.and_then(|item| text_of(item, name).ok()).map(str::to_owned);
        Self { succeeded_at: attribute(SUCCEEDED), failures: attribute(FAILURES) }
    }

    fn of(health: &EndpointHealth) -> Result<Self, serde_json::Error> {
        let failures = EndpointHealth { succeeded_at: None, ..health.clone() };
        let has_failures = failures != EndpointHealth::default();
        Ok(Self {
            succeeded_at: health.succeeded_at.map(|at| at.to_string()),
            failures: has_failures.then(|| serde_json::to_string(&failures)).transpose()?,
        })
    }

    /// What is unreadable counts as absent.
    fn health(&self) -> EndpointHealth {
        let failures: Option<EndpointHealth> =
            self.failures.as_ref().and_then(|json| serde_json::from_str(json).ok());
        let succeeded_at = self.succeeded_at.as_ref().and_then(|at| at.parse().ok());
        EndpointHealth { succeeded_at, ..failures.unwrap_or_default() }
    }
}

impl DynamoViews {
    async fn stored_health(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
    ) -> Result<Stored, AdapterError> {
        Ok(Stored::of_item(self.item(endpoint_pk(project_id, webhook_id)).await?.as_ref()))
    }

    pub(super) async fn endpoint_health(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
    ) -> Result<EndpointHealth, AdapterError> {
        Ok(self.stored_health(project_id, webhook_id).await?.health())
    }

    pub(super) async fn add_to_health(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        at: Timestamp,
        error: Option<&DeliveryError>,
    ) -> Result<EndpointHealth, AdapterError> {
        if error.is_none() && self.add_success(project_id, webhook_id, at).await? {
            return Ok(EndpointHealth { succeeded_at: Some(at), ..EndpointHealth::default() });
        }
        let mut pauses = pauses();
        loop {
            let stored = self.stored_health(project_id, webhook_id).await?;
            let before = stored.health();
            let mut after = before.clone();
            after.add(at, error);
            if after == before
                || is_covered(&before, at, error)
                || self.replace_health(project_id, webhook_id, &stored, &Stored::of(&after)?).await?
            {
                return Ok(after);
            }
            let Some(pause) = pauses.next() else {
                // Others have added attempts of the same time. It must not hold up everything else that is projected.
                tracing::warn!(%project_id, webhook.id = %webhook_id, "an attempt is not added to the health of an endpoint, which others change all the time");
                return Ok(after);
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Adds a success if no attempt has failed since the last one, and if none that is later has succeeded. Returns whether that is so.
    async fn add_success(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        at: Timestamp,
    ) -> Result<bool, AdapterError> {
        let update = self
            .health_update(project_id, webhook_id)
            .update_expression("SET #succeeded = :at")
            .condition_expression(
                "attribute_not_exists(#failures) AND (attribute_not_exists(#succeeded) OR #succeeded < :at)",
            )
            .expression_attribute_names("#succeeded", SUCCEEDED)
            .expression_attribute_names("#failures", FAILURES)
            .expression_attribute_values(":at", text(at.to_string()));
        is_written(update).await
    }

    /// Replaces `before` by `after`. Returns `false` if the item has changed meanwhile.
    async fn replace_health(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        before: &Stored,
        after: &Stored,
    ) -> Result<bool, AdapterError> {
        let mut update = self.health_update(project_id, webhook_id);
        let (mut set, mut remove, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
        let attributes = [
            (SUCCEEDED, &before.succeeded_at, &after.succeeded_at),
            (FAILURES, &before.failures, &after.failures),
        ];
        for (name, before, after) in attributes {
            update = update.expression_attribute_names(format!("#{name}"), name);
            conditions.push(match before {
                Some(_) => format!("#{name} = :before_{name}"),
                None => format!("attribute_not_exists(#{name})"),
            });
            match after {
                Some(_) => set.push(format!("#{name} = :{name}")),
                None => remove.push(format!("#{name}")),
            }
            for (value, prefix) in [(before, ":before_"), (after, ":")] {
                if let Some(value) = value {
                    update = update.expression_attribute_values(format!("{prefix}{name}"), text(value));
                }
            }
        }
        let clauses = [("SET", set), ("REMOVE", remove)];
        let clauses = clauses.iter().filter(|(_, parts)| !parts.is_empty());
        let expression: Vec<String> =
            clauses.map(|(word, parts)| format!("{word} {}", parts.join(", "))).collect();
        let update = update.update_expression(expression.join(" "));
        is_written(update.condition_expression(conditions.join(" AND "))).await
    }

    fn health_update(&self, project_id: &ProjectId, webhook_id: &WebhookId) -> UpdateItemFluentBuilder {
        let update = self.client.update_item().table_name(&*self.table);
        update.set_key(Some(key(endpoint_pk(project_id, webhook_id), ONLY_ITEM)))
    }
}

/// Whether the failure adds nothing of importance: another one with the same code was added less than a second before. So an endpoint whose
/// attempts all fail costs one write a second.
fn is_covered(health: &EndpointHealth, at: Timestamp, error: Option<&DeliveryError>) -> bool {
    let is_same =
        error.is_some_and(|error| health.error.as_ref().is_some_and(|last| last.code == error.code));
    let is_recent = health.failed_at.is_some_and(|last| last <= at && at.since(last) < COVERED_FOR);
    is_same && is_recent && health.failing_since.is_some_and(|since| since <= at)
}

/// Whether the update was made; `false` if its condition did not hold.
async fn is_written(update: UpdateItemFluentBuilder) -> Result<bool, AdapterError> {
    match update.send().await.map_err(SdkError::into_service_error) {
        Ok(_) => Ok(true),
        Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The key of the item of an endpoint.
pub(super) fn endpoint_pk(project_id: &ProjectId, webhook_id: &WebhookId) -> String {
    format!("endpoint#{project_id}#{webhook_id}")
}
