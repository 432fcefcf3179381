//! The emulated cloud: the whole product with its real programs on one machine, for development and for tests. It is not a
//! cloud: what it does not show is named where it is left out.

pub mod arn;
pub mod cdn;
pub mod cloud;
pub mod ecs;
pub mod event_bus;
pub mod function_url;
pub mod lambda;
mod request_id;
pub mod sources;

mod wall_clock;
