use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use streamio_core::ports::AdapterError;
use streamio_core::ports::tenant_store::{TenantStore, TenantStoreError};
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;

use super::DynamoViews;
use super::item::{ONLY_ITEM, key, number, text, text_of};

fn pk(hash: &KeyHash) -> String {
    format!("key#{hash}")
}

#[async_trait]
impl TenantStore for DynamoViews {
    async fn get(&self, hash: &KeyHash) -> Result<Option<Tenant>, TenantStoreError> {
        let read = async {
            let Some(item) = self.item(pk(hash)).await? else { return Ok(None) };
            Ok(Some(Tenant::from_stored(hash, text_of(&item, "tenant")?.as_bytes())?))
        };
        read.await.map_err(|error: AdapterError| TenantStoreError(error))
    }

    async fn put(&self, hash: &KeyHash, tenant: &Tenant) -> Result<bool, TenantStoreError> {
        let mut item = key(pk(hash), ONLY_ITEM);
        item.insert("tenant".to_owned(), text(tenant.to_stored()));
        item.insert("version".to_owned(), number(tenant.version));
        let written = self
            .client
            .put_item()
            .table_name(&*self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR #version < :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", number(tenant.version))
            .send()
            .await;
        match written.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(TenantStoreError(error.into())),
        }
    }
}
