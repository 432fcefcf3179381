//! The intake as a stream of Kinesis, for producers in the cloud that must not wait for the ledger.
//!
//! One record is one [`Fact`](crate::fact::Fact) as JSON. Its partition key is the name of the fact's stream, so that all facts
//! of a stream are in one shard, in the order in which Kinesis accepted them. A record's size needs no check: a fact has at
//! most [`MAX_FACT_BYTES`](crate::fact::MAX_FACT_BYTES), an eighth of the limit for a record.
//!
//! [`put_records`] has the rules that need no client: how records are split into requests, which results count as accepted,
//! and which errors may pass. The edge, which has no AWS SDK, follows the same rules. [`KinesisIntake`] (feature `aws`) is the
//! adapter on the SDK.
//!
//! # Order
//!
//! `PutRecords` accepts each record independently: a throttled record may be followed by accepted ones of the same stream.
//! Where order matters (the streams of videos and projects), a request therefore holds at most one fact of each stream; the
//! next one is sent when that one is accepted. A producer that puts one fact at a time pays nothing for it.
//!
//! # Failure
//!
//! Only refused records are sent again, after jittered pauses that grow to two seconds, until all are accepted or the time
//! limit is reached. An error of the whole request that does not pass (credentials, a missing stream) ends the call immediately. A
//! request whose response was lost is sent again: its records are then in the stream twice, which the contract allows.

#[cfg(feature = "aws")]
mod intake;
#[cfg(feature = "aws")]
mod put;
pub mod put_records;

#[cfg(feature = "aws")]
pub use self::intake::{DEFAULT_TIMEOUT, KinesisIntake, with_retry_policy};
pub use self::put_records::{MAX_RECORDS, MAX_RECORDS_BYTES};
