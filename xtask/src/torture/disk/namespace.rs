//! A mount namespace of its own for this process, so that no mounted file system outlives it, even if it is killed.

use std::env;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{process, this_program};

/// Set in the process that runs in the namespace.
const INSIDE: &str = "STREAMIO_TORTURE_NAMESPACE";

/// The device that the kernel offers FUSE at.
const DEVICE: &str = "/dev/fuse";

/// Why a file system cannot be mounted on this machine; `None` if it can.
pub(in crate::torture) fn obstacle() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("it needs FUSE on Linux".to_owned());
    }
    if let Err(error) = OpenOptions::new().read(true).write(true).open(DEVICE) {
        return Some(format!("{DEVICE} cannot be opened: {error}"));
    }
    if is_inside() {
        return None;
    }
    let mut command = unshare();
    command.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("a mount namespace cannot be created (`unshare` ended with {status})")),
        Err(error) => Some(format!("`unshare` cannot be started ({error})")),
    }
}

/// Whether this process is in its own mount namespace.
pub(in crate::torture) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Ends this process, which is in the namespace, with the one that started it.
pub(in crate::torture) fn end_with_parent() -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("cannot bind this process to the one that started it")?;
    Ok(())
}

/// Runs this program with these arguments in a mount namespace of its own.
pub(in crate::torture) fn run_inside(words: &[OsString]) -> Result<()> {
    let mut command = unshare();
    command.arg(this_program::path()?).args(words).env(INSIDE, "1");
    process::run(command).context("the run with lost writes failed")
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    // Without the privilege to mount, a user namespace gives it.
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command.args(["--mount", "--"]);
    command
}
