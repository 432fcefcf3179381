//! The application on AWS: Lambda functions, their triggers and their adapters.
//!
//! | module | contents |
//! |---|---|
//! | [`triggers`] | parses the payload of each event source into the application's types |
//! | [`functions`] | one module per Lambda function: reads its settings, builds its adapters, calls `streamio_core` |
//! | [`adapters`] | implements the ports of `streamio_core` on DynamoDB, S3, ECS, SQS and Workers KV |
//! | [`operator`] | an operator's commands on a deployment, for the command `streamio` |
//! | [`settings`] | the environment variables |
//! | [`runtime`] | the Lambda runtime loop, structured logs and metrics |
//!
//! The application itself is `streamio_core`; this crate decides nothing about videos. The feature `functions` has what only the functions
//! need; the command `streamio` is built without it.

pub mod adapters;
pub mod clock;
#[cfg(feature = "functions")]
pub mod functions;
pub mod operator;
#[cfg(feature = "functions")]
pub mod runtime;
#[cfg(feature = "functions")]
pub mod settings;
#[cfg(feature = "functions")]
pub mod triggers;
