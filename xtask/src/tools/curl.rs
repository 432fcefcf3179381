//! curl and jq, which the documented uploads use.

use anyhow::{Result, bail};

use super::{package_manager, path};

const PROGRAMS: [&str; 2] = ["curl", "jq"];

/// Installs the programs that are missing.
pub(super) fn ensure() -> Result<()> {
    for program in PROGRAMS {
        if path::find(program).is_none() {
            package_manager::install(program)?;
            if path::find(program).is_none() {
                bail!("{program} was installed, but `{program}` is not on PATH");
            }
        }
    }
    Ok(())
}
