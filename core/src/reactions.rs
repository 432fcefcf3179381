//! Acts on the log: dispatches and retries processing, removes deleted objects, records how worker tasks ended.

pub mod batch;
pub mod cleanup;
pub mod react;
pub mod sweep;
pub mod tasks;
