//! What a mapping needs of a stream.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

/// A stream of shards. [`KinesisSource`](super::KinesisSource) and [`DynamoSource`](super::DynamoSource) read real ones.
#[async_trait]
pub trait StreamSource: Send + Sync + 'static {
    /// The stream's ARN.
    fn arn(&self) -> &str;

    /// Which kind of stream it is.
    fn kind(&self) -> Kind;

    /// All shards that the stream still knows.
    async fn shards(&self) -> Result<Vec<Shard>, SourceError>;

    /// An iterator at a position of a shard.
    async fn iterator(&self, shard: &str, position: &Position) -> Result<String, SourceError>;

    /// The records at an iterator of this shard, at most `limit`.
    async fn records(&self, shard: &str, iterator: String, limit: usize) -> Result<Page, SourceError>;
}

/// The kinds of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Kinesis Data Streams.
    Kinesis,
    /// DynamoDB Streams.
    DynamoDb,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub id: String,
    /// Those whose records come before its own: one after a split, two after a merge.
    pub parents: Vec<String>,
}

/// Where reading begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// At the oldest record.
    TrimHorizon,
    /// After the newest.
    Latest,
    /// After the record with this sequence number.
    After(String),
}

/// One record as an element of an event's `Records`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number, by which functions report it.
    pub sequence: String,
    /// Records of one key stay in their order.
    pub key: String,
    /// When the stream took it.
    pub arrived: Timestamp,
    /// The element.
    pub json: String,
}

/// What one read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the shard's order.
    pub records: Vec<Record>,
    /// The iterator of what follows; `None` at the end of a closed shard.
    pub next: Option<String>,
    /// Whether the stream states that there is more.
    pub is_behind: bool,
}

/// Why a stream could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The iterator is too old: ask for a new one.
    #[error("the iterator has expired")]
    ExpiredIterator,
    /// What it points to is no longer in the stream.
    #[error("the records at this position are no longer in the stream")]
    Trimmed,
    /// Anything else. The same call may succeed later.
    #[error("{doing} failed")]
    Call {
        /// The call.
        doing: &'static str,
        /// What the client said.
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

/// The region that an ARN names.
pub(super) fn region(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}
