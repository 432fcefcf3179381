//! The road to the log behind a queue: facts that a queue delivers are put into a stream of Kinesis, from which the
//! home region moves them into the log.
//!
//! [`Feeder::feed`] takes one batch of the queue's messages, each the JSON of a [`Fact`](streamio_events::fact::Fact),
//! and says of each what is to become of it ([`Delivery`]):
//!
//! | what happened | delivery |
//! |---|---|
//! | Kinesis gave the record a sequence number | `Accepted` |
//! | throttled, refused for now, no answer, or an answer that says nothing of the record | `Retry` |
//! | the whole request refused (credentials, a stream that is not there): an operator must act, no message is at fault | `Retry` |
//! | no fact, or none that the log takes | `Poison`: for the dead-letter queue, with the reason |
//!
//! What failed is sent again a few times at once, with pauses that grow and are spread by a seed ([`Backoff`]); then it
//! goes back to the queue, to be delivered again after a longer while. Nothing is accepted that Kinesis did not say it
//! took, so nothing is lost. A record whose answer was lost is sent twice; the log knows the second by its commit's id.
//! There is no order among facts, and none is kept.
//!
//! Source of the limits: <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>.

mod answer;
mod backoff;
mod config;
mod feeder;
mod put;

pub use backoff::Backoff;
pub use config::{InvalidKinesisConfig, KinesisConfig};
pub use feeder::{Delivery, Feeder, Message};

/// The operation, as the header `x-amz-target` names it.
pub const TARGET: &str = "Kinesis_20131202.PutRecords";

/// The media type of requests and answers.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The most records of one request.
pub const MAX_RECORDS: usize = 500;

/// The most bytes of one request's records, partition keys included.
pub const MAX_RECORDS_BYTES: usize = 5 * 1024 * 1024;
