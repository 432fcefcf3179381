//! The domain model of Streamio and the event log that records it.
//!
//! Pure by default: no runtime, clock, randomness or SDK; it compiles to `wasm32`. Time and random bytes are
//! parameters. Feature `embedded` adds the SQLite log of the one-machine platform, feature `aws` the DynamoDB log and
//! the Kinesis intake, feature `testing` the contract suite that every log adapter must pass.
//!
//! | module | contents |
//! |---|---|
//! | [`log`] | the port `EventLog` with its contract; adapters: `memory`, `sqlite`, `dynamo` |
//! | [`event`], [`commit`], [`stream`], [`fact`] | what is stored |
//! | [`video`] | a video: fold, decisions, policy, status |
//! | [`project`], [`tenant`], [`api_key`] | projects and their API keys |
//! | [`webhook`] | webhooks: endpoints, messages, deliveries |
//! | [`usage`], [`limits`], [`day`] | what a project used and may use |
//! | [`home`] | the calls of the edge to the home region |
//! | [`intake`], [`kinesis`] | facts on their way to the log |
//! | [`settings`], [`digits`] | reading environment variables; reading numbers |
//! | `contract` | the test suite of log adapters (feature `testing`) |

pub mod api_key;
pub mod audit;
#[cfg(feature = "aws")]
mod aws_client_config;
mod canonical;
pub mod clock;
pub mod cloud_event;
pub mod commit;
#[cfg(feature = "testing")]
pub mod contract;
pub mod day;
pub mod digits;
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
pub mod limits;
pub mod log;
pub mod masked;
pub mod media;
pub mod memory;
pub mod metadata;
pub mod nfc;
pub mod object_key;
pub mod project;
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
pub mod usage;
pub mod video;
pub mod webhook;
