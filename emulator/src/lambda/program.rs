//! One process of a function, which ends with this process whatever happens to either.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// Becomes the program. What it leaves beside it waits for the end of a pipe that only the service holds and then ends the
/// whole process group. It is in that group itself, so the group's number belongs to nobody else as long as it waits.
const GUARDED: &str = r#"exec 3<&0 </dev/null
( read -r _ <&3; kill -KILL 0 ) >/dev/null 2>&1 &
exec "$@" 3<&-"#;

/// A running program. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    group: Option<Pid>,
    /// Held open: its end is the program's.
    _pipe: Option<ChildStdin>,
}

impl Program {
    /// Starts `path` with nothing but `environment`, in a process group of its own.
    pub(super) fn start<'a>(
        path: &Path,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARDED, "sh"])
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
        // Taken out, because waiting for the child closes what is left in it.
        let pipe = child.stdin.take();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("a child has no pipes"));
        };
        Ok((Self { child, group, _pipe: pipe }, stdout, stderr))
    }

    /// Waits for its end. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether it has ended already.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it with SIGKILL, and everything that it has started.
    pub(super) fn kill(&self) {
        if let Some(group) = self.group {
            // An error says that nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
