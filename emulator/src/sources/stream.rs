//! The port of a stream that a mapping reads.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

/// A stream with shards. [`KinesisSource`](super::KinesisSource) and [`DynamoSource`](super::DynamoSource) implement it with
/// the SDK.
#[async_trait]
pub trait StreamSource: Send + Sync + 'static {
    /// Returns the ARN of the stream.
    fn arn(&self) -> &str;

    /// Returns the kind of the stream.
    fn kind(&self) -> Kind;

    /// Lists the shards.
    async fn shards(&self) -> Result<Vec<Shard>, SourceError>;

    /// Returns an iterator at a position of a shard.
    async fn iterator(&self, shard: &str, position: &Position) -> Result<String, SourceError>;

    /// Reads at most `limit` records of this shard.
    async fn records(&self, shard: &str, iterator: String, limit: usize) -> Result<Page, SourceError>;
}

/// The kind of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Kinesis Data Streams.
    Kinesis,
    /// DynamoDB Streams.
    DynamoDb,
}

/// A shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The id.
    pub id: String,
    /// The ids of the parent shards: one after a split, two after a merge.
    pub parents: Vec<String>,
}

/// A position in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Before the oldest record.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// After the record with this sequence number.
    After(String),
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The sequence number, by which functions report failures.
    pub sequence: String,
    /// The key. The order of records with the same key is kept.
    pub key: String,
    /// When the record arrived in the stream.
    pub arrived: Timestamp,
    /// The record as an element of the event's `Records`.
    pub json: String,
}

/// The result of one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The records, in the order of the shard.
    pub records: Vec<Record>,
    /// The next iterator; `None` at the end of a closed shard.
    pub next: Option<String>,
    /// Whether the stream reports more records.
    pub is_behind: bool,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The iterator has expired. The caller requests a new one.
    #[error("the iterator has expired")]
    ExpiredIterator,
    /// The records at the position have been removed from the stream.
    #[error("the records at this position are no longer in the stream")]
    Trimmed,
    /// Another error. The call may be retried.
    #[error("{doing} failed")]
    Call {
        /// The name of the call.
        doing: &'static str,
        /// The error of the client.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SourceError {
    pub(super) fn call<E: std::error::Error + Send + Sync + 'static>(
        doing: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Call { doing, source: Box::new(source) }
    }
}

/// Returns the region in an ARN.
pub(super) fn region(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}
