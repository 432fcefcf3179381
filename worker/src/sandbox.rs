//! Isolation of the programs that read a tenant's bytes: what a defect in a decoder could be used for ends at the relay and at the
//! scratch directory.
//!
//! ```text
//! worker ─ spawn ─▶ launcher: the worker's own program again, under the name `streamio-sandbox`
//!                     limits, Landlock, user, seccomp, in its only thread
//!                     exec ─▶ ffmpeg or ffprobe, in the same process
//! ```
//!
//! The launcher exists because these measures cannot be taken between `fork` and `exec` without unsafe code. What holds on which
//! platform is stated in `docs/security.md`.

#[cfg(target_os = "linux")]
mod files;
mod launcher;
mod measures;
mod restrictions;
#[cfg(target_os = "linux")]
mod system_calls;
mod user;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

pub use self::launcher::run_if_launcher;
pub use self::measures::Measures;
pub(crate) use self::restrictions::Restrictions;
pub use self::user::CHILD_USER;
use crate::failure::MachineError;

/// The name under which the worker's program acts as the launcher.
const LAUNCHER: &str = "streamio-sandbox";
/// The launcher's argument to state what it can enforce, in place of restrictions.
const CHECK: &str = "check";
/// The launcher's exit status when the program could not be started in the sandbox.
const LAUNCH_FAILED: i32 = 125;

/// How child processes are isolated. Clones share their state.
#[derive(Debug, Clone)]
pub struct Sandbox(Option<Arc<Launcher>>);

#[derive(Debug)]
struct Launcher {
    program: PathBuf,
    measures: Measures,
}

/// A program with its arguments, as it is to be spawned.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) program: PathBuf,
    /// The name that the process gets instead of its program's.
    pub(crate) name: Option<&'static str>,
    pub(crate) args: Vec<OsString>,
}

impl Sandbox {
    /// The sandbox that the program `launcher` sets up, with the measures that this machine supports. `launcher` must call
    /// [`run_if_launcher`] first. Fails if it cannot be run.
    pub fn detect(launcher: PathBuf) -> Result<Self, MachineError> {
        let checked = std::process::Command::new(&launcher)
            .arg0(LAUNCHER)
            .arg(CHECK)
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .map_err(|source| MachineError::Program { program: launcher.display().to_string(), source })?;
        let measures = serde_json::from_slice(&checked.stdout).map_err(|_| {
            let stderr = String::from_utf8_lossy(&checked.stderr).into_owned();
            MachineError::Sandbox(format!("the launcher ended with {}: {stderr}", checked.status))
        })?;
        Ok(Self(Some(Arc::new(Launcher { program: launcher, measures }))))
    }

    /// No isolation and no limits. For tests and measurements.
    pub fn off() -> Self {
        Self(None)
    }

    /// The program that is running, as the launcher. On Linux also when its file was replaced or removed since it was started.
    pub fn this_program() -> PathBuf {
        if cfg!(target_os = "linux") {
            return PathBuf::from("/proc/self/exe");
        }
        std::env::current_exe().unwrap_or_default()
    }

    /// What is enforced; `None` without isolation.
    pub fn measures(&self) -> Option<&Measures> {
        self.0.as_ref().map(|launcher| &launcher.measures)
    }

    /// Lets children write in the directory `path`, which this process owns. Other users get no access.
    ///
    /// The group stays this process's own, so that it keeps its access even without the right to override permissions.
    pub fn share_directory(&self, path: &Path) -> Result<(), MachineError> {
        let Some(user) = self.measures().and_then(|measures| measures.user) else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(user), None)
            .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o770)))
            .map_err(MachineError::io("giving a scratch directory to FFmpeg's user"))
    }

    /// How to spawn `program` with `args` under `restrictions`.
    pub(crate) fn command(
        &self,
        program: PathBuf,
        args: &[String],
        restrictions: &Restrictions,
    ) -> Result<Command, MachineError> {
        let args = args.iter().map(OsString::from);
        let Some(launcher) = &self.0 else {
            return Ok(Command { program, name: None, args: args.collect() });
        };
        let expected = Some(launcher.measures.clone());
        let restrictions = serde_json::to_string(&Restrictions { expected, ..restrictions.clone() })
            .map_err(|error| MachineError::Sandbox(format!("its restrictions have no JSON form: {error}")))?;
        let args = [restrictions.into(), program.into_os_string()].into_iter().chain(args).collect();
        Ok(Command { program: launcher.program.clone(), name: Some(LAUNCHER), args })
    }

    /// Fails if a child ended with `status` and the output `stderr` because the launcher could not start the program.
    pub(crate) fn check(&self, status: ExitStatus, stderr: &str) -> Result<(), MachineError> {
        match stderr.strip_prefix(LAUNCHER).and_then(|text| text.strip_prefix(": ")) {
            Some(problem) if self.0.is_some() && status.code() == Some(LAUNCH_FAILED) => {
                Err(MachineError::Sandbox(problem.trim_end().to_owned()))
            }
            _ => Ok(()),
        }
    }
}
