//! What one child may do, as the launcher gets it.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::measures::Measures;
use crate::failure::MachineError;
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
    /// The folder of its control group, which is limited already.
    pub(crate) control_group: Option<PathBuf>,
    /// The measures that were found to work; without one of them the program is not started. `None` takes those that work.
    pub(crate) expected: Option<Measures>,
}

impl Restrictions {
    /// The form in which the launcher gets them.
    pub(super) fn to_json(&self) -> Result<String, MachineError> {
        serde_json::to_string(self)
            .map_err(|error| MachineError::Sandbox(format!("its restrictions have no JSON form: {error}")))
    }

    /// From the argument of the launcher.
    pub(super) fn from_json(json: &OsStr) -> Option<Self> {
        serde_json::from_str(json.to_str()?).ok()
    }
}
