//! wrk, a load generator for HTTP servers.

use anyhow::{Result, bail};

use super::{package_manager, path};

const PROGRAM: &str = "wrk";

/// Installs it if it is missing.
pub(super) fn ensure() -> Result<()> {
    if path::find(PROGRAM).is_none() {
        package_manager::install(PROGRAM)?;
        if path::find(PROGRAM).is_none() {
            bail!("wrk was installed, but `{PROGRAM}` is not on PATH");
        }
    }
    Ok(())
}
