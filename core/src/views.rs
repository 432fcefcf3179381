//! Computes views from the log. A view can be deleted and rebuilt from the log at any time.

pub mod directory;
pub mod projection;
pub mod rebuild;
pub mod replication;
pub mod status;
pub mod usage;
