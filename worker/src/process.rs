//! Child processes: each in its own process group, sandbox and control group, with a minimal environment, bounded output and guaranteed termination.

mod bounds;
mod child_end;
mod encoder;
mod group;
mod lines;
mod machine;
mod progress;
mod search;
mod tail;
#[cfg(feature = "testing")]
pub mod testing;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use process_wrap::tokio::{CommandWrap, KillOnDrop, ProcessGroup};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

pub use self::bounds::Bounds;
pub use self::child_end::ChildEnd;
pub use self::encoder::Encoder;
use self::group::ChildGroup;
pub use self::progress::Progress;
pub use self::tail::Tail;

use crate::diagnosis::is_fault_of_machine;
use crate::failure::MachineError;
use crate::relay::Input;
use crate::sandbox::{Restrictions, Sandbox};

/// A program with its arguments and rights. No shell is involved.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// A name on `PATH` or a path.
    pub program: String,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// The working directory, in which the program may write; without it, it may write nowhere.
    pub directory: Option<PathBuf>,
    /// The relay's source that the program may read.
    pub input: Option<Input>,
    /// What the program may use; `None` for one that reads nothing of a tenant.
    pub bounds: Option<Bounds>,
    /// How the program is isolated.
    pub sandbox: Sandbox,
}

/// The output of a child that has ended.
#[derive(Debug)]
pub struct CapturedOutput {
    /// How it ended.
    pub end: ChildEnd,
    /// The complete standard output.
    pub stdout: Vec<u8>,
    /// The last 8 KiB of standard error.
    pub stderr: String,
}

/// A child that has ended and whose standard output was read line by line.
#[derive(Debug)]
pub struct EndedChild {
    /// How it ended.
    pub end: ChildEnd,
    /// The last 8 KiB of standard error.
    pub stderr: String,
}

/// Why a child's output could not be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The child could not be started or was ended by this machine, or its output could not be read.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The child did not end in time and was killed.
    #[error("`{program}` did not end within {} seconds", limit.as_secs())]
    Timeout {
        /// The program.
        program: String,
        /// The time limit.
        limit: Duration,
    },
    /// The child wrote too much and was killed.
    #[error("`{program}` wrote more than {limit} bytes")]
    TooMuchOutput {
        /// The program.
        program: String,
        /// The limit in bytes.
        limit: u64,
    },
}

impl Invocation {
    /// Starts the child in its own process group, with an empty standard input.
    ///
    /// The child gets only `PATH` and `LD_LIBRARY_PATH` from the environment: it must not see credentials, and variables such
    /// as `http_proxy` would redirect FFmpeg's requests.
    fn spawn(&self) -> Result<ChildGroup, MachineError> {
        let failed = |source| MachineError::Program { program: self.program.clone(), source };
        let control_group = self.sandbox.control_group(self.bounds, self.directory.as_deref())?;
        let restrictions = Restrictions {
            writes: self.directory.is_some(),
            port: self.input.as_ref().map(Input::port),
            bounds: self.bounds,
            control_group: control_group.as_ref().map(|group| group.path().to_owned()),
            expected: None,
        };
        let program = search::program(&self.program).map_err(failed)?;
        let of_sandbox = self.sandbox.command(program, &self.args, &restrictions)?;
        let mut command = CommandWrap::with_new(of_sandbox.program, |command| {
            command
                .args(of_sandbox.args)
                .current_dir(self.directory.as_deref().unwrap_or(Path::new("/")))
                .env_clear()
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            if let Some(name) = of_sandbox.name {
                command.arg0(name);
            }
            for name in ["PATH", "LD_LIBRARY_PATH"] {
                if let Some(value) = std::env::var_os(name) {
                    command.env(name, value);
                }
            }
        });
        command.wrap(ProcessGroup::leader()).wrap(KillOnDrop);
        let mut start = || {
            let child = command.spawn()?;
            Ok((child.id(), child))
        };
        let (child, admission) = match &self.input {
            Some(input) => input.admit(start),
            None => start().map(|(_, child)| (child, None)),
        }
        .map_err(failed)?;
        Ok(ChildGroup::new(child, admission, control_group))
    }

    /// Runs the child to its end and returns its output. Kills it if it runs longer than `time` or writes more than
    /// `stdout_bytes` to standard output.
    pub async fn capture(&self, time: Duration, stdout_bytes: u64) -> Result<CapturedOutput, CaptureError> {
        let started_at = Instant::now();
        let mut group = self.spawn()?;
        let stderr = group.collect_stderr();
        let stdout = group.child.stdout().take();
        let output = async {
            let mut bytes = Vec::new();
            if let Some(stdout) = stdout {
                let mut limited = stdout.take(stdout_bytes + 1);
                limited
                    .read_to_end(&mut bytes)
                    .await
                    .map_err(MachineError::io("reading a child's output"))?;
            }
            if bytes.len() as u64 > stdout_bytes {
                return Err(CaptureError::TooMuchOutput {
                    program: self.program.clone(),
                    limit: stdout_bytes,
                });
            }
            Ok((bytes, group.wait().await?))
        };
        match tokio::time::timeout(time, output).await {
            Ok(Ok((stdout, end))) => {
                let stderr = stderr.await.unwrap_or_default();
                self.check_end(end, &stderr, started_at.elapsed())?;
                Ok(CapturedOutput { end, stdout, stderr })
            }
            Ok(Err(error)) => {
                group.stop().await;
                Err(error)
            }
            Err(_) => {
                group.stop().await;
                Err(CaptureError::Timeout { program: self.program.clone(), limit: time })
            }
        }
    }

    /// Runs the child to its end and calls `each` with every line of its standard output, without the line break. Lines are cut
    /// at 4 KiB, so that memory is bounded. Kills the child if it runs longer than `time`.
    pub async fn for_each_line(
        &self,
        time: Duration,
        each: impl FnMut(&str),
    ) -> Result<EndedChild, CaptureError> {
        let started_at = Instant::now();
        let mut group = self.spawn()?;
        let stderr = group.collect_stderr();
        let stdout = group.child.stdout().take();
        let output = async {
            if let Some(stdout) = stdout {
                lines::read(stdout, each).await.map_err(MachineError::io("reading a child's output"))?;
            }
            group.wait().await
        };
        match tokio::time::timeout(time, output).await {
            Ok(Ok(end)) => {
                let stderr = stderr.await.unwrap_or_default();
                self.check_end(end, &stderr, started_at.elapsed())?;
                Ok(EndedChild { end, stderr })
            }
            Ok(Err(error)) => {
                group.stop().await;
                Err(error.into())
            }
            Err(_) => {
                group.stop().await;
                Err(CaptureError::Timeout { program: self.program.clone(), limit: time })
            }
        }
    }

    /// Fails if the child, which ended with `end` after `ran` with the last output `stderr`, was ended by this machine or not started
    /// in its sandbox.
    pub fn check_end(&self, end: ChildEnd, stderr: &str, ran: Duration) -> Result<(), MachineError> {
        self.sandbox.check(end.status, stderr)?;
        let stderr = match &self.input {
            Some(input) => stderr.replace(input.url(), "source"),
            None => stderr.to_owned(),
        };
        if is_fault_of_machine(end, &stderr) && !self.may_be_out_of_time(ran) {
            let how = format!("it ended with {end}: {stderr}");
            return Err(MachineError::Ended { program: self.program.clone(), how });
        }
        Ok(())
    }

    /// Whether a child that ran for that long may have been killed, or have ended by itself, because of its limit on processor time. Where
    /// system calls are filtered it can only have died by SIGXCPU then.
    fn may_be_out_of_time(&self, ran: Duration) -> bool {
        // Half a core more may be available than is stated.
        let cores = std::thread::available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
        let is_limited = self.sandbox.measures().is_some_and(|measures| !measures.system_calls);
        is_limited
            && self
                .bounds
                .is_some_and(|bounds| ran.saturating_mul(cores.saturating_add(1)) >= bounds.processor_time)
    }

    /// Starts FFmpeg as an encoder. The arguments must send the `-progress` report to standard output.
    pub fn start(&self) -> Result<Encoder, MachineError> {
        let mut group = self.spawn()?;
        let stderr = group.collect_stderr();
        let (sender, progress) = watch::channel(Progress::default());
        if let Some(stdout) = group.child.stdout().take() {
            tokio::spawn(progress::read_reports(stdout, sender));
        }
        Ok(Encoder { group, progress, stderr })
    }
}

#[cfg(test)]
mod tests;
