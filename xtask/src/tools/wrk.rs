//! wrk, which loads HTTP servers and counts.

use anyhow::{Result, bail};

use super::{package_manager, path};

const PROGRAM: &str = "wrk";

/// Finds it, or installs it.
pub(super) fn ensure() -> Result<()> {
    if path::find(PROGRAM).is_none() {
        package_manager::install(PROGRAM)?;
        if path::find(PROGRAM).is_none() {
            bail!("wrk was installed, but `{PROGRAM}` is not on PATH");
        }
    }
    Ok(())
}
