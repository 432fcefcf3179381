//! The reader of DynamoDB Streams.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::SdkError;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsError;
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_dynamodbstreams::types::{
    AttributeValue, OperationType, Record as StreamRecord, ShardIteratorType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use streamio_events::timestamp::Timestamp;

use super::stream::{Kind, Page, Position, Record, Shard, SourceError, StreamSource, region};
use crate::request_id::random_hex;

/// The maximum number of records of one read.
const MAX_RECORDS: usize = 1_000;

/// The stream of a table.
#[derive(Debug, Clone)]
pub struct DynamoSource {
    client: Client,
    arn: String,
}

impl DynamoSource {
    /// Returns the stream with this ARN, which is the table's `LatestStreamArn`.
    pub fn new(client: Client, stream_arn: &str) -> Self {
        Self { client, arn: stream_arn.to_owned() }
    }

    fn record(&self, record: StreamRecord) -> Record {
        let change = record
            .dynamodb
            .unwrap_or_else(|| aws_sdk_dynamodbstreams::types::StreamRecord::builder().build());
        let mut dynamodb = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                dynamodb.insert(name.to_owned(), value);
            }
        };
        let created = change.approximate_creation_date_time;
        add("ApproximateCreationDateTime", created.map(|time| time.as_secs_f64().into()));
        add("Keys", change.keys.as_ref().map(item));
        add("NewImage", change.new_image.as_ref().map(item));
        add("OldImage", change.old_image.as_ref().map(item));
        add("SequenceNumber", change.sequence_number.clone().map(Value::from));
        add("SizeBytes", change.size_bytes.map(Value::from));
        add("StreamViewType", change.stream_view_type.as_ref().map(|kind| kind.as_str().into()));
        let key = dynamodb.get("Keys").map(ToString::to_string).unwrap_or_default();
        let mut json = json!({
            "eventID": record.event_id.unwrap_or_else(random_hex::<16>),
            "eventName": record.event_name.as_ref().map(OperationType::as_str),
            "eventVersion": record.event_version.as_deref().unwrap_or("1.1"),
            "eventSource": "aws:dynamodb",
            "awsRegion": region(&self.arn),
            "dynamodb": dynamodb,
            "eventSourceARN": self.arn,
        });
        // Present only for items that the table's time to live has removed.
        if let Some(identity) = record.user_identity {
            json["userIdentity"] = json!({ "type": identity.r#type, "principalId": identity.principal_id });
        }
        Record {
            sequence: change.sequence_number.unwrap_or_default(),
            key,
            arrived: created
                .and_then(|time| time.to_millis().ok())
                .map(Timestamp::from_unix_millis)
                .unwrap_or_default(),
            json: json.to_string(),
        }
    }
}

#[async_trait]
impl StreamSource for DynamoSource {
    fn arn(&self) -> &str {
        &self.arn
    }

    fn kind(&self) -> Kind {
        Kind::DynamoDb
    }

    async fn shards(&self) -> Result<Vec<Shard>, SourceError> {
        let mut shards = Vec::new();
        let mut last = None;
        loop {
            let page = self.client.describe_stream().stream_arn(&self.arn).set_exclusive_start_shard_id(last);
            let page = page.send().await.map_err(SourceError::call("DescribeStream"))?;
            let Some(stream) = page.stream_description else { return Ok(shards) };
            for shard in stream.shards() {
                if let Some(id) = shard.shard_id() {
                    let parents = shard.parent_shard_id().map(str::to_owned).into_iter().collect();
                    shards.push(Shard { id: id.to_owned(), parents });
                }
            }
            last = stream.last_evaluated_shard_id;
            if last.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn iterator(&self, shard: &str, position: &Position) -> Result<String, SourceError> {
        let request = self.client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard);
        let request = match position {
            Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Position::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
            Position::After(sequence) => {
                request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(sequence)
            }
        };
        let response = request.send().await.map_err(|error| match &error {
            SdkError::ServiceError(service)
                if matches!(service.err(), GetShardIteratorError::TrimmedDataAccessException(_)) =>
            {
                SourceError::Trimmed
            }
            _ => SourceError::call("GetShardIterator")(error),
        })?;
        response.shard_iterator.ok_or_else(|| SourceError::Call {
            doing: "GetShardIterator",
            source: "the response has no iterator".into(),
        })
    }

    async fn records(&self, _shard: &str, iterator: String, limit: usize) -> Result<Page, SourceError> {
        let limit = i32::try_from(limit.clamp(1, MAX_RECORDS)).unwrap_or(i32::MAX);
        let response = self.client.get_records().shard_iterator(iterator).limit(limit).send().await;
        let response = response.map_err(|error| match &error {
            SdkError::ServiceError(service) => match service.err() {
                GetRecordsError::ExpiredIteratorException(_) => SourceError::ExpiredIterator,
                GetRecordsError::TrimmedDataAccessException(_) => SourceError::Trimmed,
                _ => SourceError::call("GetRecords")(error),
            },
            _ => SourceError::call("GetRecords")(error),
        })?;
        let records = response.records.unwrap_or_default().into_iter().map(|record| self.record(record));
        Ok(Page { records: records.collect(), next: response.next_shard_iterator, is_behind: false })
    }
}

/// Returns an item as DynamoDB JSON.
fn item(item: &HashMap<String, AttributeValue>) -> Value {
    Value::Object(item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect())
}

fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::B(bytes) => json!({ "B": STANDARD.encode(bytes) }),
        AttributeValue::Bool(value) => json!({ "BOOL": value }),
        AttributeValue::Bs(set) => {
            json!({ "BS": set.iter().map(|it| STANDARD.encode(it)).collect::<Vec<_>>() })
        }
        AttributeValue::L(list) => json!({ "L": list.iter().map(attribute).collect::<Vec<_>>() }),
        AttributeValue::M(map) => json!({ "M": item(map) }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Ns(set) => json!({ "NS": set }),
        AttributeValue::Null(value) => json!({ "NULL": value }),
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::Ss(set) => json!({ "SS": set }),
        // An attribute type that the SDK does not know.
        _ => Value::Null,
    }
}
