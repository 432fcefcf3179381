//! What the data directory is on: the machine's file system, or one that loses what was not synced.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use rustix::process::{getegid, geteuid};

use super::disk::{Loss, Lost, Mounted, Tree};
use crate::platform::program::wait_for;

/// How long a change of a file is waited for before the power is switched off without one.
const PATIENCE: Duration = Duration::from_secs(2);

/// The file system of the data directory.
pub(super) enum Medium {
    /// The machine's own.
    Own,
    /// One that loses what was not synced.
    Losing(Losing),
}

/// A mounted file system that loses what was not synced.
pub(super) struct Losing {
    tree: Arc<Mutex<Tree>>,
    directory: PathBuf,
    mounted: Option<Mounted>,
}

impl Medium {
    /// Mounts a file system that loses what was not synced, on a new directory.
    pub(super) fn losing(directory: &Path) -> Result<Self> {
        std::fs::create_dir(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let tree = Arc::new(Mutex::new(Tree::new(geteuid().as_raw(), getegid().as_raw())));
        let mounted = Some(Mounted::mount(&tree, directory)?);
        Ok(Self::Losing(Losing { tree, directory: directory.to_owned(), mounted }))
    }

    /// Lets the power fail after this number of changes and syncs.
    pub(super) fn fail_after(&self, changes: u64) {
        if let Self::Losing(losing) = self {
            losing.tree().power_off_after(changes + 1);
        }
    }

    /// Waits until the power has failed. If nothing is changed for long, it fails without.
    pub(super) fn wait_until_off(&self) -> Result<()> {
        let Self::Losing(losing) = self else { return Ok(()) };
        let waited = wait_for(PATIENCE, String::new, || Ok(losing.tree().is_off().then_some(())));
        if waited.is_err() {
            crate::process::check_interrupted()?;
            losing.tree().power_off_after(0);
        }
        Ok(())
    }

    /// Drops what a power loss takes, when no process uses the file system any more, and mounts the rest.
    pub(super) fn lose_power(&mut self, loss: Loss, rng: &mut Rng) -> Result<Lost> {
        let Self::Losing(losing) = self else { return Ok(Lost::default()) };
        if let Some(mounted) = losing.mounted.take() {
            mounted.unmount()?;
        }
        let taken = losing.tree().lose_power(loss, rng);
        losing.mounted = Some(Mounted::mount(&losing.tree, &losing.directory)?);
        Ok(taken)
    }

    /// Switches the power on without a loss, to look at what is there.
    pub(super) fn switch_on(&self) {
        if let Self::Losing(losing) = self {
            losing.tree().switch_on();
        }
    }
}

impl Losing {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
