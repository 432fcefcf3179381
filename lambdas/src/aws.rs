//! The adapters of the cloud.

pub mod views;
