//! Which endpoints have an active job that sends messages again.
//!
//! An endpoint that had a job is one item of one partition: jobs are started by tenants, rarely.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use streamio_core::ports::AdapterError;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::webhook::replay::Replays;

use super::DynamoViews;
use super::item::{key, number, text, text_of};

/// The partition.
const PK: &str = "replays";

/// The attribute that states whether a job is active.
const ACTIVE: &str = "active";

fn sk(project_id: &ProjectId, webhook_id: &WebhookId) -> String {
    format!("{project_id}#{webhook_id}")
}

impl DynamoViews {
    /// See [`DeliveryStore::put_replays`](streamio_core::ports::delivery_store::DeliveryStore::put_replays).
    pub(super) async fn write_replays(&self, replays: &Replays) -> Result<(), AdapterError> {
        let mut item = key(PK, sk(&replays.project_id, &replays.webhook_id));
        item.insert("version".to_owned(), number(replays.version));
        item.insert(ACTIVE.to_owned(), AttributeValue::Bool(replays.active().is_some()));
        let written = self
            .client
            .put_item()
            .table_name(&*self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR #version < :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", number(replays.version))
            .send()
            .await;
        match written.map_err(SdkError::into_service_error) {
            Ok(_) | Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// See [`DeliveryStore::active_replays`](streamio_core::ports::delivery_store::DeliveryStore::active_replays). An unreadable item is
    /// left out.
    pub(super) async fn endpoints_with_replays(&self) -> Result<Vec<(ProjectId, WebhookId)>, AdapterError> {
        let query = self.client.query().table_name(&*self.table).key_condition_expression("pk = :pk");
        let query = query
            .filter_expression("#active = :true")
            .expression_attribute_names("#active", ACTIVE)
            .expression_attribute_values(":pk", text(PK))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .consistent_read(true);
        let mut items = query.into_paginator().items().send();
        let mut endpoints = Vec::new();
        while let Some(item) = items.try_next().await? {
            let ids = text_of(&item, "sk").ok().and_then(|sk| sk.split_once('#'));
            let parsed =
                ids.and_then(|(project, webhook)| Some((project.parse().ok()?, webhook.parse().ok()?)));
            if let Some(endpoint) = parsed {
                endpoints.push(endpoint);
            } else {
                let sort_key = text_of(&item, "sk").unwrap_or_default();
                tracing::error!(sort_key, "an unreadable item of webhook replays is left out");
            }
        }
        Ok(endpoints)
    }
}
