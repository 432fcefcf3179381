//! The emulated cloud: the whole product with its real programs on one machine, for development and for tests. It is not a
//! cloud: what it does not show is named where it is left out.
//!
//! [`Cloud`] starts all of it: the seven functions, the worker and the edge's Worker are the programs that are deployed;
//! DynamoDB is dynoxide, Kinesis is kinesalite, S3 and the CDN are those of the one-machine platform; the rest is emulated
//! here, each with its rules and its gaps in its module's documentation. `streamio-emulator up` runs one until Ctrl-C, and the
//! tests in `tests/` send videos through it while everything that may fail does.

pub mod arn;
pub mod bench;
pub mod cdn;
pub mod cloud;
pub mod ecs;
pub mod event_bus;
pub mod event_road;
pub mod fault_proxy;
pub mod function_url;
mod http_listener;
pub mod kv;
pub mod lambda;
mod request_id;
pub mod s3;
pub mod sources;
mod wall_clock;
pub mod worker_edge;

pub use cloud::{Cloud, CloudConfig, Journal};
