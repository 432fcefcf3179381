//! A process of a function, with its child processes. It is killed when this process ends for any reason.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// A shell script that executes the program and leaves a guard process beside it. The guard waits until the pipe that this
/// process holds is closed, and then kills the whole process group. The guard belongs to that group, so the group id cannot
/// be reused while it waits.
const GUARD_SCRIPT: &str = r#"exec 3<&0 </dev/null
( read -r _ <&3; kill -KILL 0 ) >/dev/null 2>&1 &
exec "$@" 3<&-"#;

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    group: Option<Pid>,
    /// Kept open: the guard kills the process group when it is closed.
    _pipe: Option<ChildStdin>,
}

impl Program {
    /// Starts `path` in a new process group, with exactly the variables of `environment`.
    pub(super) fn start<'a>(
        path: &Path,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARD_SCRIPT, "sh"])
            .arg(path)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // Taken from the child, because waiting for the child closes its standard input.
        let pipe = child.stdin.take();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("the child process has no pipes"));
        };
        Ok((Self { child, group, _pipe: pipe }, stdout, stderr))
    }

    /// Waits until the process ends. Cancel safe.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether the process has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the process and its child processes with SIGKILL.
    pub(super) fn kill(&self) {
        if let Some(group) = self.group {
            // Fails only if no process of the group is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
