//! The intake as a stream of Kinesis, for producers in the cloud that must not wait for the ledger.
//!
//! One record is one [`Fact`] as JSON; its partition key is the name of the fact's stream, so that all of a stream is in one
//! shard and in the order in which Kinesis accepted it. The record's size needs no check: a fact has at most
//! [`MAX_FACT_BYTES`](crate::fact::MAX_FACT_BYTES), an eighth of what a record may have.
//!
//! # Order
//!
//! `PutRecords` accepts each record for itself: a throttled one may be followed by accepted ones of the same stream. Where
//! the order means something (the streams of videos and projects), a request therefore has only one fact of each stream, and
//! the next one follows when that is accepted. A producer that states one fact at a time pays nothing for it.
//!
//! # Failure
//!
//! Records that were refused are put again, and they alone, after pauses that grow to two seconds and are spread, until all
//! are accepted or the patience is over. A request that is refused as a whole for a reason that time does not heal
//! (credentials, a stream that is not there) ends the call at once. A request whose answer was lost is made again: its
//! records are then in the stream twice, which the contract allows.
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

/// The most records of one request.
pub const MAX_RECORDS: usize = 500;

/// The most bytes of one request's records, partition keys included.
pub const MAX_RECORDS_BYTES: usize = 5 * 1024 * 1024;

/// How long [`Intake::put`] goes on by default.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The intake as a stream of Kinesis.
#[derive(Clone)]
pub struct KinesisIntake {
    client: Client,
    stream_name: String,
    patience: Duration,
}

impl KinesisIntake {
    /// Puts facts into the stream called `stream_name`. Asks nothing of Kinesis yet.
    pub fn new(client: Client, stream_name: impl Into<String>) -> Self {
        Self { client, stream_name: stream_name.into(), patience: PATIENCE }
    }

    /// The same that gives up after `patience`, however many tries that was.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

#[async_trait]
impl Intake for KinesisIntake {
    async fn put(&self, facts: Vec<Fact>) -> Result<(), IntakeError> {
        let mut putting = Putting::new(facts);
        // What is in flight when the time is over is not known to be accepted.
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

/// `config` with the retries and time-outs that suit the intake: an attempt that is not answered within 3 seconds is given
/// up, four attempts are made with growing, spread pauses between them, and all of it takes 12 seconds at most.
#[must_use]
pub fn patient(config: Builder) -> Builder {
    config.retry_config(patience::retries()).timeout_config(patience::timeouts())
}
