//! Isolation of the programs that read a tenant's bytes: what a defect in a decoder could be used for ends at the relay and at the
//! scratch directory.
//!
//! ```text
//! worker ─ spawn ─▶ launcher: the worker's own program again, under the name `streamio-sandbox`
//!                     limits, control group, Landlock, user, seccomp, in its only thread
//!                     exec ─▶ ffmpeg or ffprobe, in the same process
//! ```
//!
//! The launcher exists because these measures cannot be taken between `fork` and `exec` without unsafe code. What holds on which
//! platform is stated in `docs/security.md`.

mod control_group;
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

pub(crate) use self::control_group::ControlGroup;
pub use self::control_group::Controllers;
use self::control_group::{Limits, Subtree};
pub use self::launcher::run_if_launcher;
pub use self::measures::Measures;
pub(crate) use self::restrictions::Restrictions;
pub use self::user::CHILD_USER;
use crate::failure::MachineError;
use crate::process::Bounds;

/// The name under which the worker's program acts as the launcher.
const LAUNCHER: &str = "streamio-sandbox";
/// The launcher's argument to state what it can enforce, before the restrictions.
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
    /// Where the control groups of children are made, if they are among the measures.
    subtree: Option<Subtree>,
}

impl Launcher {
    /// The launcher `program`, with control groups where they can be made.
    fn detect(program: PathBuf) -> Result<Self, MachineError> {
        if let Some(subtree) = Subtree::detect() {
            match check_in_group(&program, &subtree) {
                Ok(measures) => return Ok(Self { program, measures, subtree: Some(subtree) }),
                Err(error) => tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "cannot use control groups for FFmpeg"
                ),
            }
        }
        let measures = check(&program, &Restrictions::default())?;
        Ok(Self { program, measures, subtree: None })
    }
}

/// The measures that work in a control group of `subtree`.
fn check_in_group(launcher: &Path, subtree: &Subtree) -> Result<Measures, MachineError> {
    let group = subtree.group(Limits::of(None, None)).map_err(MachineError::io("making a control group"))?;
    let restrictions =
        Restrictions { control_group: Some(group.path().to_owned()), ..Restrictions::default() };
    let measures = check(launcher, &restrictions)?;
    group.kill().map_err(MachineError::io("ending the processes of a control group"))?;
    Ok(measures)
}

/// The measures that the program `launcher` could take under `restrictions`.
fn check(launcher: &Path, restrictions: &Restrictions) -> Result<Measures, MachineError> {
    let checked = std::process::Command::new(launcher)
        .arg0(LAUNCHER)
        .arg(CHECK)
        .arg(restrictions.to_json()?)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|source| MachineError::Program { program: launcher.display().to_string(), source })?;
    serde_json::from_slice(&checked.stdout).map_err(|_| {
        let stderr = String::from_utf8_lossy(&checked.stderr).into_owned();
        MachineError::Sandbox(format!("the launcher ended with {}: {stderr}", checked.status))
    })
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
        Ok(Self(Some(Arc::new(Launcher::detect(launcher)?))))
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

    /// A control group for a child with the limits `bounds` that may write in `directory`; `None` without control groups.
    pub(crate) fn control_group(
        &self,
        bounds: Option<Bounds>,
        directory: Option<&Path>,
    ) -> Result<Option<ControlGroup>, MachineError> {
        let Some(subtree) = self.0.as_ref().and_then(|launcher| launcher.subtree.as_ref()) else {
            return Ok(None);
        };
        let group = subtree.group(Limits::of(bounds, directory));
        group.map(Some).map_err(MachineError::io("making a control group for FFmpeg"))
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
        let restrictions = Restrictions { expected, ..restrictions.clone() }.to_json()?;
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
