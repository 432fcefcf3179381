//! The emulated cloud: the whole product with its real programs on one machine, for development and tests.

pub mod arn;
pub mod cdn;
pub mod ecs;
pub mod event_road;
pub mod fault_proxy;
mod http_listener;
pub mod kv;
pub mod s3;
pub mod worker_edge;
