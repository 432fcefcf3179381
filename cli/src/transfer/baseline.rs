//! The state of a video before an upload.

use serde::{Deserialize, Serialize};

/// A video's state before the upload. Anything newer was caused by this upload or a concurrent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) generation: u32,
    pub(crate) version: u64,
}
