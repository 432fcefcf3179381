use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use streamio_core::ports::AdapterError;
use streamio_core::ports::pending_replications::{PendingReplicationError, PendingReplications};
use streamio_events::id::ProjectId;

use super::DynamoViews;
use super::item::{key, number, text, text_of};

/// One partition is enough: there are few pending replications, and they last minutes.
const PK: &str = "pending-replication";

#[async_trait]
impl PendingReplications for DynamoViews {
    async fn add(&self, project_id: &ProjectId, version: u64) -> Result<(), PendingReplicationError> {
        let mut item = key(PK, project_id.as_str());
        item.insert("version".to_owned(), number(version));
        let written = self
            .client
            .put_item()
            .table_name(&*self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR #version < :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", number(version))
            .send()
            .await;
        match written.map_err(SdkError::into_service_error) {
            Ok(_) | Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Err(error) => Err(PendingReplicationError(error.into())),
        }
    }

    async fn pending(&self, limit: usize) -> Result<Vec<ProjectId>, PendingReplicationError> {
        let read = async {
            let page = self
                .client
                .query()
                .table_name(&*self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(PK))
                .limit(i32::try_from(limit)?)
                .consistent_read(true)
                .send()
                .await?;
            let ids = page.items().iter().map(|item| Ok(text_of(item, "sk")?.parse()?));
            ids.collect::<Result<_, AdapterError>>()
        };
        read.await.map_err(PendingReplicationError)
    }

    async fn remove(&self, project_id: &ProjectId, version: u64) -> Result<(), PendingReplicationError> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&*self.table)
            .set_key(Some(key(PK, project_id.as_str())))
            .condition_expression("attribute_not_exists(pk) OR #version <= :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", number(version))
            .send()
            .await;
        match deleted.map_err(SdkError::into_service_error) {
            Ok(_) | Err(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Err(error) => Err(PendingReplicationError(error.into())),
        }
    }
}
