use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableInputBuilder;
use aws_sdk_dynamodb::operation::update_time_to_live::builders::UpdateTimeToLiveInputBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus, TimeToLiveSpecification,
};

use streamio_core::ports::AdapterError;

/// The index of a project's videos except expired and deleted ones, and of its deliveries of webhooks, by age.
pub const BY_PROJECT: &str = "by_project";
/// The index of a project's videos in one state, and of the deliveries about one video, by age.
pub const BY_STATE: &str = "by_state";
/// The index of videos that a sweep has to handle, by due time, and of deliveries of webhooks that are to be attempted.
pub const BY_DUE: &str = "by_due";
/// The attribute with the time, in seconds since the Unix epoch, after which DynamoDB removes an item.
pub const TTL_ATTRIBUTE: &str = "ttl";

/// The partition key of [`BY_PROJECT`].
pub(super) const LISTING: &str = "listing";
/// The partition key of [`BY_STATE`].
pub(super) const STATE_LISTING: &str = "state_listing";
/// The sort key of both.
pub(super) const PLACE: &str = "place";
/// The partition key of [`BY_DUE`].
pub(super) const DUE_SHARD: &str = "due_shard";
/// The sort key of [`BY_DUE`].
pub(super) const DUE: &str = "due";

/// The request that creates the table: `views_table(name).send_with(&client)`. Its expiry is enabled by [`views_ttl`].
///
/// The table is billed per request: its load follows the tenants' uploads, and an index without enough provisioned capacity
/// would throttle writes to the table
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes>).
pub fn views_table(name: impl Into<String>) -> CreateTableInputBuilder {
    let builder = CreateTableInputBuilder::default()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range));
    let names = ["pk", "sk", LISTING, STATE_LISTING, PLACE, DUE_SHARD, DUE];
    let builder = names.into_iter().fold(builder, |builder, name| {
        let text = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        builder.attribute_definitions(text.build().expect("name and type are set"))
    });
    [(BY_PROJECT, LISTING, PLACE), (BY_STATE, STATE_LISTING, PLACE), (BY_DUE, DUE_SHARD, DUE)]
        .into_iter()
        .fold(builder, |builder, (name, partition, sort)| {
            let index = GlobalSecondaryIndex::builder()
                .index_name(name)
                .key_schema(key(partition, KeyType::Hash))
                .key_schema(key(sort, KeyType::Range))
                .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build());
            builder.global_secondary_indexes(index.build().expect("name, keys and projection are set"))
        })
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("name and type are set")
}

/// The request that enables the removal of items by [`TTL_ATTRIBUTE`]: `views_ttl(name).send_with(&client)`.
pub fn views_ttl(name: impl Into<String>) -> UpdateTimeToLiveInputBuilder {
    let attribute = TimeToLiveSpecification::builder().enabled(true).attribute_name(TTL_ATTRIBUTE);
    UpdateTimeToLiveInputBuilder::default()
        .table_name(name)
        .time_to_live_specification(attribute.build().expect("both fields are set"))
}

/// Creates the table, waits until it is active, and enables the removal of expired items.
pub async fn create_views_table(client: &Client, name: &str) -> Result<(), AdapterError> {
    views_table(name).send_with(client).await?;
    loop {
        let described = client.describe_table().table_name(name).send().await?;
        if described.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    views_ttl(name).send_with(client).await?;
    Ok(())
}
