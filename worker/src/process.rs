//! A child process as a type: its own process group, a bare environment, bounded output, and an end that is certain.

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

pub use self::progress::Progress;
pub use self::tail::Tail;

use crate::failure::MachineError;

/// How long a child may take to end after it was asked to, before its group is killed.
const GRACE: Duration = Duration::from_secs(2);

/// A program with its arguments, never seen by a shell.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// A name on `PATH` or a path.
    pub program: String,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// The directory to run in.
    pub directory: PathBuf,
}

/// What a child that ran to its end left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, whole.
    pub stdout: Vec<u8>,
    /// The end of its standard error.
    pub stderr: String,
}

/// Why a child's output cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The child cannot be started or heard.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// It did not end in time; it was killed.
    #[error("`{program}` did not end within {} seconds", limit.as_secs())]
    Timeout {
        /// The program.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// It wrote more than is accepted; it was killed.
    #[error("`{program}` wrote more than {limit} bytes")]
    TooMuchOutput {
        /// The program.
        program: String,
        /// The limit.
        limit: u64,
    },
}

impl Invocation {
    /// Starts the child in a process group of its own, with an empty standard input.
    ///
    /// Of the environment it gets `PATH` only: our credentials are none of its business, and variables such as
    /// `http_proxy` would send FFmpeg's requests elsewhere.
    fn spawn(&self) -> Result<Group, MachineError> {
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
        Ok(Group { child, ended: false })
    }

    /// Runs the child to its end and gives its output, or kills it when it exceeds `time` or `stdout_bytes`.
    pub async fn capture(&self, time: Duration, stdout_bytes: u64) -> Result<Finished, CaptureError> {
        let mut group = self.spawn()?;
        let stderr = group.collect_stderr();
        let stdout = group.child.stdout().take();
        let whole = async {
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
        match tokio::time::timeout(time, whole).await {
            Ok(Ok((stdout, status))) => {
                Ok(Finished { status, stdout, stderr: stderr.await.unwrap_or_default() })
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

    /// Starts an FFmpeg whose `-progress` report goes to its standard output.
    pub fn start(&self) -> Result<Encoder, MachineError> {
        let mut group = self.spawn()?;
        let stderr = group.collect_stderr();
        let (sender, progress) = watch::channel(Progress::default());
        if let Some(stdout) = group.child.stdout().take() {
            tokio::spawn(progress::follow(stdout, sender));
        }
        Ok(Encoder { group, progress, stderr })
    }
}

/// A running FFmpeg that reports its progress. Dropping it kills its process group.
#[derive(Debug)]
pub struct Encoder {
    group: Group,
    progress: watch::Receiver<Progress>,
    stderr: JoinHandle<String>,
}

impl Encoder {
    /// The latest report; changes are announced.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits for the child's end. May be cancelled and called again.
    pub async fn wait(&mut self) -> Result<ExitStatus, MachineError> {
        self.group.wait().await
    }

    /// Holds the whole group (`SIGSTOP`).
    pub fn pause(&self) {
        self.group.signal(Signal::STOP);
    }

    /// Lets the whole group go on (`SIGCONT`).
    pub fn resume(&self) {
        self.group.signal(Signal::CONT);
    }

    /// Asks the group to end, and kills it when it has not soon. Returns when the child is gone.
    pub async fn stop(&mut self) {
        self.group.stop().await;
    }

    /// The end of what the child wrote to its standard error. Only once it has ended.
    pub async fn into_stderr(self) -> String {
        let Self { group, stderr, .. } = self;
        drop(group);
        stderr.await.unwrap_or_default()
    }
}

#[derive(Debug)]
struct Group {
    child: Box<dyn ChildWrapper>,
    /// Once the leader is reaped its number may be another's: no signal may be sent any more.
    ended: bool,
}

impl Group {
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

    async fn wait(&mut self) -> Result<ExitStatus, MachineError> {
        let status = self.child.wait().await.map_err(MachineError::io("waiting for a child process"))?;
        self.ended = true;
        Ok(status)
    }

    fn signal(&self, signal: Signal) {
        if !self.ended && self.child.signal(signal.as_raw()).is_err() {
            tracing::debug!(signal = signal.as_raw(), "the child had ended before it could be signalled");
        }
    }

    async fn stop(&mut self) {
        self.signal(Signal::TERM);
        // A stopped process sees the request only when it goes on.
        self.signal(Signal::CONT);
        if tokio::time::timeout(GRACE, self.wait()).await.is_err() {
            self.signal(Signal::KILL);
            if let Err(error) = self.wait().await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a killed child could not be waited for"
                );
            }
        }
    }
}

impl Drop for Group {
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
        // A zombie that waits for init to reap it is not alive.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
    }

    async fn wait_until_dead(pid: &str) {
        let began = std::time::Instant::now();
        while is_alive(pid) {
            assert!(began.elapsed() < Duration::from_secs(30), "process {pid} lives on");
            // Nothing tells when a process that is not ours ends: look again soon.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn output_is_captured_with_the_exit_status() {
        let finished =
            shell("echo out; echo err >&2; exit 3").capture(Duration::from_secs(10), 100).await.unwrap();
        assert_eq!(
            (finished.status.code(), finished.stdout.as_slice(), finished.stderr.as_str()),
            (Some(3), b"out\n".as_slice(), "err\n")
        );
    }

    #[tokio::test]
    async fn a_child_that_writes_too_much_is_killed() {
        let result = shell("while :; do echo y; done").capture(Duration::from_mins(1), 1000).await;
        assert!(matches!(result, Err(CaptureError::TooMuchOutput { limit: 1000, .. })), "{result:?}");
    }

    #[tokio::test]
    async fn a_child_and_its_own_children_die_at_the_limit_even_when_they_ignore_the_request() {
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
    async fn a_child_gets_no_secret_from_our_environment() {
        let finished = shell("env").capture(Duration::from_secs(10), 100_000).await.unwrap();
        let names: Vec<_> = std::str::from_utf8(&finished.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.split('=').next())
            .filter(|name| !["PATH", "LD_LIBRARY_PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name))
            .collect();
        assert_eq!(names, Vec::<&str>::new());
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let mut invocation = shell("");
        invocation.program = "no-such-program".into();
        let error = invocation.capture(Duration::from_secs(1), 1).await.unwrap_err();
        assert!(error.to_string().contains("`no-such-program`"), "{error}");
    }
}
