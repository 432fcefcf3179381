//! What one child may do, as the launcher gets it.

use serde::{Deserialize, Serialize};

use super::measures::Measures;
use crate::process::Bounds;

/// The rights of one child beyond reading what its program consists of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Restrictions {
    /// Whether it may write in its working directory.
    pub(crate) writes: bool,
    /// The TCP port that it may connect to.
    pub(crate) port: Option<u16>,
    /// What it may use.
    pub(crate) bounds: Option<Bounds>,
    /// The measures that were found to work; without one of them the program is not started. `None` takes those that work.
    pub(crate) expected: Option<Measures>,
}
