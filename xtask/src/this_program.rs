//! The path of this program, to start it again.
//!
//! A build of the workspace replaces this program's file, and from then on the system states the path of a removed file.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};

static PATH: OnceLock<PathBuf> = OnceLock::new();

/// Determines [`path`]. Call it before anything is built.
pub(crate) fn remember_path() -> Result<()> {
    let path = env::current_exe().context("cannot determine the path of this program")?;
    PATH.get_or_init(|| path);
    Ok(())
}

/// The path of this program, or of the build that replaced it.
pub(crate) fn path() -> Result<&'static Path> {
    PATH.get().map(PathBuf::as_path).context("the path of this program was not determined at its start")
}
