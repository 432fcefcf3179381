use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableInputBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
    StreamViewType,
};

/// The stream's name.
pub(super) const STREAM: &str = "pk";
/// The version of the commit's first event.
pub(super) const FIRST: &str = "sk";
/// How many events the commit has.
pub(super) const COUNT: &str = "n";
/// The commit's id.
pub(super) const ID: &str = "id";
/// When the commit was recorded, by the appender's clock.
pub(super) const RECORDED_AT: &str = "at";
/// The events as canonical JSON.
pub(super) const EVENTS: &str = "events";
/// The hash of the previous commit.
pub(super) const PREV_HASH: &str = "prev";
/// The commit's hash.
pub(super) const HASH: &str = "hash";

/// Describes a ledger table called `name`: billed per request, with a stream of new images for the consumers of the
/// feed. For tests and the emulated cloud: `ledger_table(name).send_with(&client)`.
pub fn ledger_table(name: &str) -> CreateTableInputBuilder {
    keyed(name).expect("every required field is given")
}

fn keyed(name: &str) -> Result<CreateTableInputBuilder, BuildError> {
    let mut table = CreateTableInputBuilder::default().table_name(name);
    for (attribute, kind, key) in
        [(STREAM, ScalarAttributeType::S, KeyType::Hash), (FIRST, ScalarAttributeType::N, KeyType::Range)]
    {
        table = table
            .attribute_definitions(
                AttributeDefinition::builder().attribute_name(attribute).attribute_type(kind).build()?,
            )
            .key_schema(KeySchemaElement::builder().attribute_name(attribute).key_type(key).build()?);
    }
    let stream =
        StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewImage);
    Ok(table.billing_mode(BillingMode::PayPerRequest).stream_specification(stream.build()?))
}
