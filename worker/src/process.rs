//! Child processes: each in its own process group, with a minimal environment, bounded output and guaranteed termination.

mod bounds;
mod encoder;
mod group;
mod lines;
mod progress;
mod tail;

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::tokio::{CommandWrap, KillOnDrop, ProcessGroup};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

pub use self::bounds::Bounds;
pub use self::encoder::Encoder;
use self::group::ChildGroup;
pub use self::progress::Progress;
pub use self::tail::Tail;

use crate::failure::MachineError;

/// A program with its arguments. No shell is involved.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// A name on `PATH` or a path.
    pub program: String,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// The working directory.
    pub directory: PathBuf,
}

/// The output of a child that has ended.
#[derive(Debug)]
pub struct CapturedOutput {
    /// Exit status.
    pub status: ExitStatus,
    /// The complete standard output.
    pub stdout: Vec<u8>,
    /// The last 8 KiB of standard error.
    pub stderr: String,
}

/// A child that has ended and whose standard output was read line by line.
#[derive(Debug)]
pub struct EndedChild {
    /// Exit status.
    pub status: ExitStatus,
    /// The last 8 KiB of standard error.
    pub stderr: String,
}

/// Why a child's output could not be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The child could not be started, or its output not read.
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
        let mut command = CommandWrap::with_new(&self.program, |command| {
            command
                .args(&self.args)
                .current_dir(&self.directory)
                .env_clear()
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            for name in ["PATH", "LD_LIBRARY_PATH"] {
                if let Some(value) = std::env::var_os(name) {
                    command.env(name, value);
                }
            }
        });
        command.wrap(ProcessGroup::leader()).wrap(KillOnDrop);
        let child = command
            .spawn()
            .map_err(|source| MachineError::Program { program: self.program.clone(), source })?;
        Ok(ChildGroup::new(child))
    }

    /// Runs the child to its end and returns its output. Kills it if it runs longer than `time` or writes more than
    /// `stdout_bytes` to standard output.
    pub async fn capture(&self, time: Duration, stdout_bytes: u64) -> Result<CapturedOutput, CaptureError> {
        self.capture_within(None, time, stdout_bytes).await
    }

    /// Like [`capture`](Self::capture), with `bounds` on what the child may use.
    pub async fn capture_within(
        &self,
        bounds: impl Into<Option<Bounds>> + Send,
        time: Duration,
        stdout_bytes: u64,
    ) -> Result<CapturedOutput, CaptureError> {
        let mut group = self.spawn()?;
        if let Some(bounds) = bounds.into() {
            group.limit(bounds);
        }
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
            Ok(Ok((stdout, status))) => {
                Ok(CapturedOutput { status, stdout, stderr: stderr.await.unwrap_or_default() })
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
        bounds: Bounds,
        time: Duration,
        each: impl FnMut(&str),
    ) -> Result<EndedChild, CaptureError> {
        let mut group = self.spawn()?;
        group.limit(bounds);
        let stderr = group.collect_stderr();
        let stdout = group.child.stdout().take();
        let output = async {
            if let Some(stdout) = stdout {
                lines::read(stdout, each).await.map_err(MachineError::io("reading a child's output"))?;
            }
            group.wait().await
        };
        match tokio::time::timeout(time, output).await {
            Ok(Ok(status)) => Ok(EndedChild { status, stderr: stderr.await.unwrap_or_default() }),
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
