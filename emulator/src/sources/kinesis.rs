//! The reader of Kinesis Data Streams.

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::types::{Record as KinesisRecord, ShardIteratorType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use streamio_events::timestamp::Timestamp;

use super::stream::{Kind, Page, Position, Record, Shard, SourceError, StreamSource, region};

/// The maximum number of records of one read.
const MAX_RECORDS: usize = 10_000;

/// A Kinesis stream.
#[derive(Debug, Clone)]
pub struct KinesisSource {
    client: Client,
    name: String,
    arn: String,
}

impl KinesisSource {
    /// Opens the stream, and looks up its ARN.
    pub async fn open(client: Client, name: &str) -> Result<Self, SourceError> {
        let summary = client.describe_stream_summary().stream_name(name).send().await;
        let summary = summary.map_err(SourceError::call("DescribeStreamSummary"))?;
        let arn = summary.stream_description_summary().map(|it| it.stream_arn().to_owned());
        Ok(Self { client, name: name.to_owned(), arn: arn.unwrap_or_default() })
    }

    fn record(&self, shard: &str, record: KinesisRecord) -> Record {
        let arrived = record.approximate_arrival_timestamp;
        let seconds = arrived.map(|time| time.as_secs_f64()).unwrap_or_default();
        let account = self.arn.split(':').nth(4).unwrap_or_default();
        let json = json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record.partition_key,
                "sequenceNumber": record.sequence_number,
                "data": STANDARD.encode(&record.data),
                "approximateArrivalTimestamp": seconds,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("{shard}:{}", record.sequence_number),
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": format!("arn:aws:iam::{account}:role/emulated"),
            "awsRegion": region(&self.arn),
            "eventSourceARN": self.arn,
        });
        Record {
            arrived: arrived
                .and_then(|time| time.to_millis().ok())
                .map(Timestamp::from_unix_millis)
                .unwrap_or_default(),
            sequence: record.sequence_number,
            key: record.partition_key.unwrap_or_default(),
            json: json.to_string(),
        }
    }
}

#[async_trait]
impl StreamSource for KinesisSource {
    fn arn(&self) -> &str {
        &self.arn
    }

    fn kind(&self) -> Kind {
        Kind::Kinesis
    }

    async fn shards(&self) -> Result<Vec<Shard>, SourceError> {
        let mut shards = Vec::new();
        let mut token = None;
        loop {
            // A request with a token must not contain the name of the stream.
            let name = token.is_none().then(|| self.name.clone());
            let page = self.client.list_shards().set_stream_name(name).set_next_token(token.take());
            let page = page.send().await.map_err(SourceError::call("ListShards"))?;
            shards.extend(page.shards().iter().map(|shard| {
                Shard {
                    id: shard.shard_id().to_owned(),
                    parents: [shard.parent_shard_id(), shard.adjacent_parent_shard_id()]
                        .into_iter()
                        .flatten()
                        .map(str::to_owned)
                        .collect(),
                }
            }));
            token = page.next_token;
            if token.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn iterator(&self, shard: &str, position: &Position) -> Result<String, SourceError> {
        let request = self.client.get_shard_iterator().stream_name(&self.name).shard_id(shard);
        let request = match position {
            Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Position::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
            Position::After(sequence) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(sequence),
        };
        let response = request.send().await.map_err(SourceError::call("GetShardIterator"))?;
        response.shard_iterator.ok_or_else(|| missing("GetShardIterator", "the response has no iterator"))
    }

    async fn records(&self, shard: &str, iterator: String, limit: usize) -> Result<Page, SourceError> {
        let limit = i32::try_from(limit.clamp(1, MAX_RECORDS)).unwrap_or(i32::MAX);
        let response = self.client.get_records().shard_iterator(iterator).limit(limit).send().await;
        let response = response.map_err(|error| match &error {
            SdkError::ServiceError(service)
                if matches!(service.err(), GetRecordsError::ExpiredIteratorException(_)) =>
            {
                SourceError::ExpiredIterator
            }
            _ => SourceError::call("GetRecords")(error),
        })?;
        Ok(Page {
            is_behind: response.millis_behind_latest.is_some_and(|millis| millis > 0),
            next: response.next_shard_iterator,
            records: response.records.into_iter().map(|record| self.record(shard, record)).collect(),
        })
    }
}

fn missing(doing: &'static str, what: &'static str) -> SourceError {
    SourceError::Call { doing, source: what.into() }
}
