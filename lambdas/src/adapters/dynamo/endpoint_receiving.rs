//! To which webhook endpoints no messages are sent.
//!
//! An endpoint of which that was ever stated has attributes in its item, which has the version that states it. The items are looked up by
//! endpoint, and nothing lists them: how many endpoints were removed makes no difference.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use streamio_core::ports::AdapterError;
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_events::id::{ProjectId, WebhookId};

use super::DynamoViews;
use super::endpoint_health::endpoint_pk;
use super::item::{Item, ONLY_ITEM, key, number, text_of};

/// The attribute with the version of the project's endpoints that states whether the endpoint receives messages.
const RECEIVING_VERSION: &str = "receiving_version";

/// The attribute that is `true` if it does.
const RECEIVING: &str = "receiving";

/// Which of the endpoints that were looked up receive no messages, by the keys of their items.
#[derive(Default)]
pub(super) struct IdleEndpoints(BTreeMap<String, bool>);

impl IdleEndpoints {
    /// Whether no messages are sent to the endpoint of the delivery.
    pub(super) fn contains(&self, key: &DeliveryKey) -> bool {
        self.0.get(&pk_of(key)).copied().unwrap_or(false)
    }
}

impl DynamoViews {
    /// See [`DeliveryStore::put_receiving`](streamio_core::ports::delivery_store::DeliveryStore::put_receiving).
    pub(super) async fn set_receiving(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        is_receiving: bool,
        version: u64,
    ) -> Result<(), AdapterError> {
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key(endpoint_pk(project_id, webhook_id), ONLY_ITEM)))
            .update_expression("SET #receiving = :receiving, #version = :version")
            .condition_expression("attribute_not_exists(#version) OR #version < :version")
            .expression_attribute_names("#receiving", RECEIVING)
            .expression_attribute_names("#version", RECEIVING_VERSION)
            .expression_attribute_values(":receiving", AttributeValue::Bool(is_receiving))
            .expression_attribute_values(":version", number(version));
        match update.send().await.map_err(SdkError::into_service_error) {
            Ok(_) | Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks up the endpoints of `deliveries` that are not known yet.
    pub(super) async fn learn_idle(
        &self,
        idle: &mut IdleEndpoints,
        deliveries: impl Iterator<Item = &DeliveryKey>,
    ) -> Result<(), AdapterError> {
        let mut unknown: Vec<String> = deliveries.map(pk_of).filter(|pk| !idle.0.contains_key(pk)).collect();
        unknown.sort();
        unknown.dedup();
        let items = self.items(&unknown).await?;
        idle.0.extend(unknown.into_iter().map(|pk| (pk, false)));
        for item in items {
            idle.0.insert(text_of(&item, "pk")?.to_owned(), is_idle(&item));
        }
        Ok(())
    }
}

fn is_idle(item: &Item) -> bool {
    item.get(RECEIVING).is_some_and(|value| *value == AttributeValue::Bool(false))
}

fn pk_of(key: &DeliveryKey) -> String {
    endpoint_pk(&key.project_id, &key.webhook_id)
}
