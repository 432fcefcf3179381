//! The domain model of Streamio and the event log that records it.
//!
//! Pure by default: no runtime, clock, randomness or SDK; it compiles to `wasm32`. Time and random bytes are
//! parameters. Feature `embedded` adds the SQLite log of the one-machine platform, feature `aws` the DynamoDB log and
//! the Kinesis intake, feature `testing` the contract suite that every log adapter must pass.
//!
//! Start with [`log`] for the contract of the log, [`event`] for the event types, and [`video`] for the decisions that
//! follow from events.

pub mod api_key;
pub mod audit;
pub mod clock;
pub mod cloud_event;
pub mod commit;
#[cfg(feature = "testing")]
pub mod contract;
#[cfg(feature = "aws")]
pub mod dynamo;
#[cfg(all(feature = "aws", feature = "testing"))]
pub mod emulators;
pub mod error_chain;
pub mod event;
pub mod fact;
#[cfg(feature = "testing")]
pub mod fault;
pub mod home;
pub mod id;
pub mod intake;
pub mod job;
pub mod kinesis;
pub mod log;
pub mod media;
pub mod memory;
mod nfc;
pub mod object_key;
pub mod project;
#[cfg(feature = "aws")]
mod retry_policy;
pub mod retryable;
#[cfg(feature = "s3")]
pub mod s3;
pub mod secret;
pub mod settings;
#[cfg(feature = "embedded")]
pub mod sqlite;
pub mod stream;
pub mod tenant;
pub mod thread_safe;
pub mod timestamp;
mod upcast;
pub mod video;
