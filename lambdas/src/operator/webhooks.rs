//! Webhooks of a project: the calls of the API, with the tables in place of the home region.

use std::sync::Arc;

use serde_json::{Value, json};
use streamio_core::home_region::{WebhookPorts, serve_webhooks};
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_events::home::{WebhookCall, WebhookResult};
use streamio_events::id::{CommitId, ProjectId};
use streamio_events::webhook::endpoint_url::Rules;

use super::deployment::AwsOperator;
use super::error::AwsOperatorError;
use super::projects::random;
use crate::adapters::dynamo::DynamoViews;
use crate::clock::clock;

impl AwsOperator {
    /// Makes a call about a project's webhooks. Returns the body of the API's response; null if it has none. Not for calls whose result depends
    /// on the secret of the deployment's webhooks or on its rules for URLs, which an operator does not have.
    pub async fn webhooks(
        &self,
        project_id: &ProjectId,
        call: &WebhookCall,
    ) -> Result<Value, AwsOperatorError> {
        if depends_on_settings(call) {
            return Err(AwsOperatorError::ThroughApi);
        }
        self.project(project_id).await?;
        let views = Arc::new(self.views.clone());
        let ports = WebhookPorts {
            endpoints: Arc::default(),
            deliveries: Arc::<DynamoViews>::clone(&views),
            // No other call uses it.
            keys: WebhookKeys::new(&random()).expect("32 bytes are enough"),
            urls: Rules::default(),
            feed: Arc::<DynamoViews>::clone(&views),
            places: views,
        };
        let outcome = serve_webhooks(&self.log, &ports, project_id, clock(), call).await?;
        Ok(body(&outcome.result)?)
    }
}

/// The id of a new command.
pub fn new_command() -> CommitId {
    let digits: Vec<String> = random().iter().map(|byte| format!("{byte:02x}")).collect();
    CommitId::derived_from(&["operator", "webhooks", &digits.concat()])
}

fn depends_on_settings(call: &WebhookCall) -> bool {
    match call {
        WebhookCall::Create { .. } | WebhookCall::RotateSecret { .. } | WebhookCall::PublicKey => true,
        WebhookCall::Update { changes, .. } => changes.url.is_some(),
        _ => false,
    }
}

/// The body of the API's response with this result.
fn body(result: &WebhookResult) -> Result<Value, serde_json::Error> {
    let page = |data: Value, next: Option<&str>| json!({ "data": data, "nextCursor": next });
    Ok(match result {
        WebhookResult::Created(created) => serde_json::to_value(created)?,
        WebhookResult::Endpoints(endpoints) => page(serde_json::to_value(endpoints)?, None),
        WebhookResult::Endpoint(endpoint) => serde_json::to_value(endpoint)?,
        WebhookResult::Removed(_) => Value::Null,
        WebhookResult::PublicKey(public_key) => json!({ "publicKey": public_key }),
        WebhookResult::Deliveries(found) => page(serde_json::to_value(&found.data)?, found.next.as_deref()),
        WebhookResult::Delivery(delivery) => serde_json::to_value(delivery)?,
        WebhookResult::Replays(jobs) => page(serde_json::to_value(jobs)?, None),
        WebhookResult::Replay(job) => serde_json::to_value(job)?,
    })
}
