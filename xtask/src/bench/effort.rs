//! How much is measured for one figure.

use std::time::Duration;

/// The number and the duration of the measurements of one figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Rounds of each comparison.
    pub(super) rounds: u32,
    /// The duration of one load on one side.
    pub(super) turn: Duration,
}
