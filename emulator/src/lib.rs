//! The emulated cloud: the product's real programs on emulated services on one machine, for development and tests.
//!
//! [`Cloud`] starts the eight functions, the worker and the edge's Worker, which are the deployed programs. DynamoDB is
//! emulated by dynoxide, Kinesis by kinesalite, S3 and the CDN by the servers of the one-machine platform, and the other
//! services by modules of this crate. The documentation of each module that stands for a service states the emulated behaviour and
//! what is not emulated. `streamio-emulator up` runs a cloud until Ctrl-C; the scenarios in `tests/` process videos on one while they
//! inject faults.
//!
//! | module | contents |
//! |---|---|
//! | [`cloud`] | starts and stops everything |
//! | [`lambda`], [`function_url`], [`sources`] | Lambda, its function URLs and its event source mappings |
//! | [`event_bus`], [`sqs`], [`ecs`], [`kv`], [`s3`], [`cdn`], [`worker_edge`] | EventBridge, SQS, ECS, Workers KV, S3, CloudFront, Workers |
//! | [`scale`] | the model of load, limits and cost on AWS |
//! | [`event_channel`], [`fault_proxy`] | faults: of events, and of requests |

pub mod arn;
pub mod bench;
pub mod cdn;
pub mod cloud;
pub mod control_plane;
pub mod ecs;
pub mod event_bus;
pub mod event_channel;
pub mod fault_proxy;
pub mod function_url;
mod http_listener;
pub mod kv;
pub mod lambda;
mod request_id;
pub mod s3;
pub mod scale;
pub mod sources;
pub mod sqs;
mod wall_clock;
pub mod worker_edge;

pub use cloud::{Cloud, CloudConfig, Journal};
