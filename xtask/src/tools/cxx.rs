//! A C++ compiler, which builds libFuzzer.

use std::env;

use anyhow::{Result, bail};

use super::{package_manager, path};

/// Where a C++ compiler is looked for, as the crate `cc` does without the variable `CXX`.
const PROGRAMS: [&str; 3] = ["c++", "g++", "clang++"];

/// Installs one if there is none.
pub(super) fn ensure() -> Result<()> {
    if env::var_os("CXX").is_some() || PROGRAMS.iter().any(|name| path::find(name).is_some()) {
        return Ok(());
    }
    package_manager::install("g++")?;
    if path::find("g++").is_none() {
        bail!("g++ was installed, but `g++` is not on PATH: install a C++ compiler, which libFuzzer needs");
    }
    Ok(())
}
