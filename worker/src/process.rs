//! Child processes: each in its own process group, with a minimal environment, bounded output and guaranteed termination.

mod bounds;
mod lines;
mod progress;
mod tail;

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::bounds::Bounds;
pub use self::progress::Progress;
pub use self::tail::Tail;

use crate::failure::MachineError;

/// Time between SIGTERM and SIGKILL.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

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
        Ok(ChildGroup { child, reaped: false })
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

/// A running FFmpeg that reports its progress. Dropping it kills its process group.
#[derive(Debug)]
pub struct Encoder {
    group: ChildGroup,
    progress: watch::Receiver<Progress>,
    stderr: JoinHandle<String>,
}

impl Encoder {
    /// Limits what the process may use. Call it before FFmpeg has read anything.
    pub fn limit(&self, bounds: Bounds) {
        self.group.limit(bounds);
    }

    /// Watches the latest progress report.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits for the process to end. Cancel safe.
    pub async fn wait(&mut self) -> Result<ExitStatus, MachineError> {
        self.group.wait().await
    }

    /// Pauses the process group (`SIGSTOP`).
    pub fn pause(&self) {
        self.group.signal(Signal::STOP);
    }

    /// Resumes the process group (`SIGCONT`).
    pub fn resume(&self) {
        self.group.signal(Signal::CONT);
    }

    /// Terminates the process group: SIGTERM, then SIGKILL after a grace period. Returns when the process has ended.
    pub async fn stop(&mut self) {
        self.group.stop().await;
    }

    /// The last 8 KiB of standard error. Call it after the process has ended.
    pub async fn into_stderr(self) -> String {
        let Self { group, stderr, .. } = self;
        drop(group);
        stderr.await.unwrap_or_default()
    }
}

/// A child that leads a process group. Dropping it kills the group.
#[derive(Debug)]
struct ChildGroup {
    child: Box<dyn ChildWrapper>,
    /// Whether the leader was reaped. No signal may be sent after that: its process id may be in use by another process.
    reaped: bool,
}

impl ChildGroup {
    fn collect_stderr(&mut self) -> JoinHandle<String> {
        let stderr = self.child.stderr().take();
        tokio::spawn(async move {
            let mut tail = Tail::default();
            if let Some(mut stderr) = stderr {
                let mut chunk = [0; 4096];
                while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
                    tail.push(&chunk[..length]);
                }
            }
            tail.text()
        })
    }

    fn limit(&self, bounds: Bounds) {
        if let Some(id) = self.child.id().filter(|_| !self.reaped) {
            bounds.apply(id);
        }
    }

    async fn wait(&mut self) -> Result<ExitStatus, MachineError> {
        let status = self.child.wait().await.map_err(MachineError::io("waiting for a child process"))?;
        self.reaped = true;
        Ok(status)
    }

    fn signal(&self, signal: Signal) {
        if !self.reaped && self.child.signal(signal.as_raw()).is_err() {
            tracing::debug!(signal = signal.as_raw(), "the child ended before it could be signalled");
        }
    }

    async fn stop(&mut self) {
        self.signal(Signal::TERM);
        // A paused process receives SIGTERM only after it is resumed.
        self.signal(Signal::CONT);
        if tokio::time::timeout(GRACE_PERIOD, self.wait()).await.is_err() {
            self.signal(Signal::KILL);
            if let Err(error) = self.wait().await {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot wait for a killed child");
            }
        }
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Invocation {
        Invocation {
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            directory: std::env::temp_dir(),
        }
    }

    fn is_alive(pid: &str) -> bool {
        // A zombie that init has not reaped yet counts as dead.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
    }

    async fn wait_until_dead(pid: &str) {
        let started_at = std::time::Instant::now();
        while is_alive(pid) {
            assert!(started_at.elapsed() < Duration::from_secs(30), "process {pid} is still alive");
            // The end of a process that is not a child can only be polled.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn output_is_captured_with_the_exit_status() {
        let output =
            shell("echo out; echo err >&2; exit 3").capture(Duration::from_secs(10), 100).await.unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.as_slice(), output.stderr.as_str()),
            (Some(3), b"out\n".as_slice(), "err\n")
        );
    }

    #[tokio::test]
    async fn a_child_that_writes_too_much_is_killed() {
        let result = shell("while :; do echo y; done").capture(Duration::from_mins(1), 1000).await;
        assert!(matches!(result, Err(CaptureError::TooMuchOutput { limit: 1000, .. })), "{result:?}");
    }

    #[tokio::test]
    async fn a_child_that_uses_too_much_processor_time_is_ended_by_the_kernel() {
        use std::os::unix::process::ExitStatusExt;
        let bounds = Bounds { processor_time: Duration::from_secs(1), memory: 1 << 30 };
        let spinning = shell("while :; do :; done");
        let ended = spinning.capture_within(bounds, Duration::from_mins(5), 10).await.unwrap();
        assert_eq!(ended.status.signal(), Some(Signal::XCPU.as_raw()));
    }

    #[tokio::test]
    async fn a_child_and_its_descendants_are_killed_at_the_time_limit_even_if_they_ignore_sigterm() {
        let directory = tempfile::tempdir().unwrap();
        let mut invocation = shell("trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > inner; sleep 600' & wait");
        invocation.directory = directory.path().to_owned();
        let running = invocation.capture(Duration::from_millis(300), 100);
        assert!(matches!(running.await, Err(CaptureError::Timeout { .. })));
        let inner = std::fs::read_to_string(directory.path().join("inner")).unwrap();
        wait_until_dead(inner.trim()).await;
    }

    #[tokio::test]
    async fn dropping_an_encoder_kills_its_group_even_while_it_is_paused() {
        for paused in [false, true] {
            let encoder =
                shell("sleep 600 & echo out_time_us=$!; echo progress=continue; wait").start().unwrap();
            let mut progress = encoder.progress();
            let report = *progress.wait_for(|report| report.out_time.is_some()).await.unwrap();
            if paused {
                encoder.pause();
            }
            drop(encoder);
            wait_until_dead(&report.out_time.unwrap().as_micros().to_string()).await;
        }
    }

    #[tokio::test]
    async fn a_child_inherits_only_the_allowed_environment_variables() {
        let output = shell("env").capture(Duration::from_secs(10), 100_000).await.unwrap();
        let names: Vec<_> = std::str::from_utf8(&output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.split('=').next())
            .filter(|name| !["PATH", "LD_LIBRARY_PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name))
            .collect();
        assert_eq!(names, Vec::<&str>::new());
    }

    #[tokio::test]
    async fn the_error_for_a_missing_program_names_it() {
        let mut invocation = shell("");
        invocation.program = "no-such-program".into();
        let error = invocation.capture(Duration::from_secs(1), 1).await.unwrap_err();
        assert!(error.to_string().contains("`no-such-program`"), "{error}");
    }
}
