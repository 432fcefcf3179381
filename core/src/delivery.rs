//! Handles batches of records that a source delivers at least once. For each record it decides: handled, deliver again, or a dead letter
//! with its stream in quarantine. The source delivers again: Lambda, or `local/src/feed.rs`.

pub mod batch;
pub mod quarantine;
pub mod redrive;
