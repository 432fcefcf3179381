//! Handles records that a source delivers at least once and in order: per-item failures, retries, dead letters, quarantine.

pub mod batch;
pub mod quarantine;
