//! Acts on the log: dispatches and retries processing, removes deleted objects, records how worker tasks ended.

pub mod batch;
pub mod cleanup;
mod launch;
mod platform_wait;
mod project_settings;
pub mod react;
mod slots;
pub mod sweep;
pub mod tasks;
