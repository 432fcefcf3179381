//! What a mapping is told.

use std::time::Duration;

use super::stream::Position;

/// Where the shards that exist at the start are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// From their oldest record.
    TrimHorizon,
    /// From what comes after the start.
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

/// One mapping. Names and defaults are the service's, where its documentation states a default.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>
#[derive(Debug, Clone)]
pub struct MappingConfig {
    /// The name of the function that is invoked.
    pub function: String,
    /// The most records of a batch: 1 to 10,000.
    pub batch_size: usize,
    /// How long a batch that is not full waits for more records.
    pub maximum_batching_window: Duration,
    /// How many batches of one shard are worked on at once: 1 to 10.
    pub parallelization_factor: usize,
    /// How often a batch is tried again; `None` without end.
    pub maximum_retry_attempts: Option<u32>,
    /// The age at which a record is given up; `None` never.
    pub maximum_record_age: Option<Duration>,
    /// Whether a batch is split when the function fails.
    pub bisect_batch_on_function_error: bool,
    /// Whether answers are read for the records that failed (`ReportBatchItemFailures`).
    pub report_batch_item_failures: bool,
    /// Where to begin.
    pub starting_position: StartingPosition,
    /// The wait before a shard without new records is read again; it grows to four times this when none come for long. The
    /// service waits 250 ms (DynamoDB) or a second (Kinesis).
    pub poll: Duration,
    /// The wait before new shards are looked for.
    pub discovery: Duration,
    /// The wait after a first failure. It doubles with each further one of the same batch.
    pub retry_delay: Duration,
    /// The longest of these.
    pub most_retry_delay: Duration,
}

impl MappingConfig {
    /// The service's defaults: 100 records, no window, one lane, retries without end, no bisection, no partial answers.
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
            most_retry_delay: Duration::from_secs(1),
        }
    }
}
