//! The intake as a Kinesis stream, for producers in the cloud that must not wait for the ledger.
//!
//! One record is one [`Fact`] as JSON. Its partition key is the name of the fact's stream, so that all facts of a
//! stream are in one shard, in the order in which Kinesis accepted them. The record's size needs no check: a fact has
//! at most [`MAX_FACT_BYTES`](crate::fact::MAX_FACT_BYTES), an eighth of the limit of a record.
//!
//! # Order
//!
//! `PutRecords` accepts each record separately: a throttled record may be followed by accepted records of the same
//! stream. Where the order matters (the streams of videos and projects), a request therefore holds only one fact of
//! each stream, and the next one follows when that is accepted. A producer that puts one fact at a time pays nothing
//! for this.
//!
//! # Failure
//!
//! Refused records, and only those, are put again after growing, jittered pauses of at most two seconds, until all are
//! accepted or the time is up. A request that is refused as a whole for a permanent reason (credentials, a missing
//! stream) ends the call at once. A request whose response was lost is sent again: its records are then in the stream
//! twice, which the contract allows.
//!
//! Source of the limits: <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>.

mod batch;
mod put;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;

use self::put::Putting;
use crate::fact::Fact;
use crate::intake::{Intake, IntakeError};
use crate::patience;

/// Maximum number of records of one request.
pub const MAX_RECORDS: usize = 500;

/// Maximum size of one request's records in bytes, including partition keys.
pub const MAX_RECORDS_BYTES: usize = 5 * 1024 * 1024;

/// Default time limit of [`Intake::put`].
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The intake as a Kinesis stream.
#[derive(Clone)]
pub struct KinesisIntake {
    client: Client,
    stream_name: String,
    patience: Duration,
}

impl KinesisIntake {
    /// Returns an intake that puts facts into the stream `stream_name`. Sends no request.
    pub fn new(client: Client, stream_name: impl Into<String>) -> Self {
        Self { client, stream_name: stream_name.into(), patience: PATIENCE }
    }

    /// Sets the time limit of [`Intake::put`], whatever the number of attempts.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

#[async_trait]
impl Intake for KinesisIntake {
    async fn put(&self, facts: Vec<Fact>) -> Result<(), IntakeError> {
        let mut putting = Putting::new(facts);
        // Records in flight when the time is up are not known to be accepted.
        let ended = tokio::time::timeout(self.patience, putting.run(&self.client, &self.stream_name)).await;
        putting.outcome(ended.is_err().then_some(self.patience))
    }
}

impl fmt::Debug for KinesisIntake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KinesisIntake")
            .field("stream_name", &self.stream_name)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// Returns `config` with the retries and timeouts for the intake: 3 seconds per attempt, four attempts with growing,
/// jittered pauses, and 12 seconds in total.
#[must_use]
pub fn patient(config: Builder) -> Builder {
    config.retry_config(patience::retries()).timeout_config(patience::timeouts())
}
