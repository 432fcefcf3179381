//! Puts facts that a queue delivers into a stream of Kinesis, from which the home region moves them into the log.
//!
//! [`Feeder::feed`] takes one batch of the queue's messages, each the JSON of a [`Fact`](streamio_events::fact::Fact), and
//! returns for each what to do with it ([`Delivery`]):
//!
//! | result | delivery |
//! |---|---|
//! | Kinesis gave the record a sequence number | `Accepted` |
//! | throttled, refused for now, no response, or a response without a result for the record | `Retry` |
//! | the whole request was refused (credentials, a missing stream): an operator must act, no message is at fault | `Retry` |
//! | not a fact, or not one that the log accepts | `Poison`: for the dead-letter queue, with the reason |
//!
//! Failed records are sent again a few times after growing, jittered pauses ([`Backoff`]); then their messages go back to the
//! queue with a longer delay. A message is accepted only when Kinesis confirmed its record, so nothing is lost. A record whose
//! response was lost is sent twice; the log recognises the second by its commit id. Facts have no order among each other.
//!
//! The rules of `PutRecords` (limits, requests, results, retryable errors) are those of
//! [`streamio_events::kinesis::put_records`].

mod backoff;
mod config;
mod feeder;
mod put;
mod response;

pub use backoff::Backoff;
pub use config::{InvalidKinesisConfig, KinesisConfig};
pub use feeder::{Delivery, Feeder, Message};
pub use streamio_events::kinesis::put_records::{MAX_RECORDS, MAX_RECORDS_BYTES};

/// The operation, as the header `x-amz-target` names it.
pub const TARGET: &str = "Kinesis_20131202.PutRecords";

/// The media type of requests and responses.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
