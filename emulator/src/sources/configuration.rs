//! The configuration of a mapping.

use std::time::Duration;

use super::stream::Position;

/// The position from which the shards that exist at the start are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// Before the oldest record.
    TrimHorizon,
    /// After the newest record.
    Latest,
}

impl From<StartingPosition> for Position {
    fn from(position: StartingPosition) -> Self {
        match position {
            StartingPosition::TrimHorizon => Self::TrimHorizon,
            StartingPosition::Latest => Self::Latest,
        }
    }
}

/// The configuration of a mapping. Names and documented defaults are those of the service.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>
#[derive(Debug, Clone)]
pub struct MappingConfig {
    /// The name of the function.
    pub function: String,
    /// The maximum number of records of a batch: 1 to 10,000.
    pub batch_size: usize,
    /// How long an incomplete batch waits for more records.
    pub maximum_batching_window: Duration,
    /// The number of batches of one shard that are processed concurrently: 1 to 10.
    pub parallelization_factor: usize,
    /// The maximum number of retries of a batch; `None`: unlimited.
    pub maximum_retry_attempts: Option<u32>,
    /// The age at which a record is discarded; `None`: unlimited.
    pub maximum_record_age: Option<Duration>,
    /// Whether a batch is split when the function fails.
    pub bisect_batch_on_function_error: bool,
    /// Whether responses report the records that failed (`ReportBatchItemFailures`).
    pub report_batch_item_failures: bool,
    /// The starting position.
    pub starting_position: StartingPosition,
    /// The pause between reads of a shard without new records. It grows up to four times this when the shard stays empty. It is
    /// 250 ms (DynamoDB) or 1 second (Kinesis) in the real service.
    pub poll: Duration,
    /// The interval at which the shards are listed.
    pub discovery: Duration,
    /// The pause after the first failure of a batch. It doubles with each further failure.
    pub retry_delay: Duration,
    /// The longest pause after a failure.
    pub max_retry_delay: Duration,
}

impl MappingConfig {
    /// Returns the defaults of the service: batches of 100 records, no batching window, a parallelization factor of 1, unlimited
    /// retries, no bisection, no partial batch responses.
    pub fn new(function: &str) -> Self {
        Self {
            function: function.to_owned(),
            batch_size: 100,
            maximum_batching_window: Duration::ZERO,
            parallelization_factor: 1,
            maximum_retry_attempts: None,
            maximum_record_age: None,
            bisect_batch_on_function_error: false,
            report_batch_item_failures: false,
            starting_position: StartingPosition::TrimHorizon,
            poll: Duration::from_millis(15),
            discovery: Duration::from_millis(500),
            retry_delay: Duration::from_millis(20),
            max_retry_delay: Duration::from_secs(1),
        }
    }
}
