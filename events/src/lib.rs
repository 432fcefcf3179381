//! The model of Streamio and the event log that records it.
//!
//! Everything here is pure by default: no runtime, no clock, no randomness, no SDK; it compiles to `wasm32`. Time and
//! random bytes are parameters. Feature `embedded` adds the SQLite log of the one-machine platform, feature `aws` the log
//! on DynamoDB and the road to it through Kinesis, feature `testing` the contract suite that every log adapter must pass.
//!
//! Read [`log`] for what the log promises, [`event`] for what can happen, and [`video`] for what follows from it.

pub mod api_key;
pub mod audit;
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
pub mod timestamp;
mod upcast;
pub mod video;
