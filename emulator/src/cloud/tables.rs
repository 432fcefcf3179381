//! The tables in DynamoDB and the stream in Kinesis.

use anyhow::{Context as _, ensure};
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use streamio_events::dynamo::ledger_table;
use streamio_events::emulators::{ACCESS_KEY_ID, LocalDynamo, LocalKinesis, REGION, SECRET_ACCESS_KEY};
use streamio_lambdas::adapters::dynamo::create_views_table;

use super::names::{FACTS_STREAM, LEDGER_TABLE, VIEWS_TABLE};

/// The number of shards of the facts stream. More than one, so that no program can depend on the order of partition keys.
const SHARDS: i32 = 2;

/// Creates the tables and the stream of facts. Returns the ARN of the ledger's stream.
pub(super) async fn create(dynamo: &LocalDynamo, kinesis: &LocalKinesis) -> anyhow::Result<String> {
    let client = dynamo.client();
    let ledger =
        ledger_table(LEDGER_TABLE).send_with(&client).await.context("could not create the ledger table")?;
    create_views_table(&client, VIEWS_TABLE)
        .await
        .map_err(anyhow::Error::from_boxed)
        .context("could not create the views table")?;
    kinesis
        .client()
        .create_stream()
        .stream_name(FACTS_STREAM)
        .shard_count(SHARDS)
        .send()
        .await
        .context("could not create the stream of facts")?;
    let stream = ledger.table_description().and_then(|table| table.latest_stream_arn());
    let stream = stream.context("the ledger has no stream")?.to_owned();
    ensure!(!stream.is_empty(), "the ledger's stream has no ARN");
    Ok(stream)
}

/// Returns a client for the streams of `dynamo`.
pub(crate) fn streams_client(dynamo: &LocalDynamo) -> aws_sdk_dynamodbstreams::Client {
    let config = aws_sdk_dynamodbstreams::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(dynamo.endpoint())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "emulators"));
    aws_sdk_dynamodbstreams::Client::from_conf(config.build())
}
