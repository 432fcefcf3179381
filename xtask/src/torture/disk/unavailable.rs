//! Where no file system can be mounted.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Result, bail};

use super::tree::Tree;

/// A mounted file system, which does not exist on this system.
pub(in crate::torture) enum Mounted {}

impl Mounted {
    /// Fails.
    pub(in crate::torture) fn mount(_: &Arc<Mutex<Tree>>, directory: &Path) -> Result<Self> {
        bail!("no file system can be mounted on {}: it needs FUSE on Linux", directory.display())
    }

    /// Cannot be called.
    pub(in crate::torture) fn unmount(self) -> Result<()> {
        match self {}
    }
}
