//! Puts facts from a queue into a Kinesis stream, from which the home region appends them to the log.
//!
//! [`Feeder::feed`] takes one batch of the queue's messages, each the JSON of a [`Fact`](streamio_events::fact::Fact), and
//! returns for each what the consumer must do with it ([`Delivery`]):
//!
//! | result | delivery |
//! |---|---|
//! | Kinesis gave the record a sequence number | `Accepted` |
//! | throttled, a temporary error, no response, or a response without a result for the record | `Retry` |
//! | the whole request was refused (credentials, a missing stream); an operator must correct it | `Retry` |
//! | the message is not a valid fact | `Poison`: for the dead-letter queue, with the reason |
//!
//! Failed records are retried after exponential pauses with jitter ([`Backoff`]). If retries are exhausted, their messages
//! return to the queue with a longer delay. A message is accepted only when Kinesis has confirmed its record, so no message is
//! lost. A record whose response was lost is sent twice; the log recognises the duplicate by its commit id. The order of facts
//! is undefined.
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

/// The operation, as in the header `x-amz-target`.
pub const TARGET: &str = "Kinesis_20131202.PutRecords";

/// The media type of requests and responses.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
