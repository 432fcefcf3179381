//! Runs a task: starts its process, waits for the process or for a stop request, and stops the process.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::shared::Shared;
use super::task::{Status, StopCode};
use super::{metadata, process_tree};

/// The watchdog's script. It waits for the line `ended`, which reports that the task's process has ended. If its standard
/// input ends without that line, this program has died: the script resumes the process in case it is suspended, waits 3
/// seconds for it to exit, and kills it.
const WATCHDOG: &str =
    r#"read -r line; [ "$line" = ended ] || { kill -CONT "$1"; sleep 3; kill -KILL "$1"; } 2>/dev/null"#;

/// Runs the task from PENDING to STOPPED.
pub(super) async fn run_task(shared: Arc<Shared>, arn: String) {
    let Some(stop) = shared.tasks().find(&arn).map(|state| state.stop.clone()) else { return };
    shared.change(&arn, |state| state.status = Status::Pending);
    let activate = async {
        tokio::time::sleep(shared.config.start_delay).await;
        shared.change(&arn, |state| state.status = Status::Activating);
    };
    let is_activated = tokio::select! {
        () = activate => true,
        () = stop.cancelled() => false,
        () = shared.stop.cancelled() => return,
    };
    if is_activated && !stop.is_cancelled() {
        match start(&shared, &arn) {
            Ok(mut container) => {
                let process = container.child.id();
                shared.change(&arn, |state| {
                    state.status = Status::Running;
                    state.started = Some(OffsetDateTime::now_utc());
                    state.process = process;
                });
                let end = wait_for_exit(&shared, &mut container, &stop).await;
                container.disarm_watchdog().await;
                shared.change(&arn, |state| {
                    state.process = None;
                    state.status = Status::Deprovisioning;
                    state.request_stop(
                        StopCode::EssentialContainerExited,
                        "Essential container in task exited".to_owned(),
                    );
                    state.exit_code = end.ok().map(exit_code);
                });
            }
            Err(error) => shared.change(&arn, |state| {
                state.status = Status::Deprovisioning;
                state.container_reason = Some(format!("CannotStartContainerError: {error}"));
                state.request_stop(StopCode::TaskFailedToStart, "Task failed to start".to_owned());
            }),
        }
    }
    shared.change(&arn, |state| {
        state.status = Status::Stopped;
        state.stopped = Some(OffsetDateTime::now_utc());
    });
}

struct Container {
    child: Child,
    /// The process ends when this is closed.
    _stdin: Option<tokio::process::ChildStdin>,
    watchdog: Child,
}

impl Container {
    /// Reports the end of the process to the watchdog, because another process may reuse the process id.
    async fn disarm_watchdog(&mut self) {
        if let Some(mut stdin) = self.watchdog.stdin.take() {
            let _ = stdin.write_all(b"ended\n").await;
        }
        let _ = self.watchdog.wait().await;
    }
}

fn start(shared: &Shared, arn: &str) -> io::Result<Container> {
    let definition = &shared.config.definition;
    let (id, overrides) = {
        let tasks = shared.tasks();
        let state = tasks.find(arn).ok_or_else(|| io::Error::other("the task does not exist"))?;
        (state.id().to_owned(), state.parameters.environment.clone())
    };
    let [program, arguments @ ..] = &definition.command[..] else {
        return Err(io::Error::other("the task definition has no command"));
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    for name in ["PATH", "LD_LIBRARY_PATH", "RUST_LOG"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let mut child = command
        .envs(definition.environment.iter().map(|(name, value)| (name, value)))
        .envs(overrides)
        .env("ECS_CONTAINER_METADATA_URI_V4", metadata::uri(&shared.endpoint, &id))
        .env("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE")
        // Not a variable of ECS: it makes the worker exit when its standard input ends, so that it does not outlive this program.
        .env("STREAMIO_PARENT_PIPE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(File::create(shared.config.logs.join(format!("{id}.log")))?)
        // Ctrl-C must not reach the task directly: this program stops tasks in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let watchdog = Command::new("sh")
        .args(["-c", WATCHDOG, "sh", &child.id().unwrap_or_default().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(Container { _stdin: child.stdin.take(), child, watchdog })
}

async fn wait_for_exit(
    shared: &Shared,
    container: &mut Container,
    stop: &tokio_util::sync::CancellationToken,
) -> io::Result<ExitStatus> {
    let process = container.child.id();
    tokio::select! {
        end = container.child.wait() => return end,
        () = stop.cancelled() => {}
        () = shared.stop.cancelled() => {}
    }
    if let Some(process) = process {
        if shared.stop.is_cancelled() {
            // A suspended process would not handle SIGTERM.
            let _ = resume(process);
        }
        let _ = signal(process, Signal::TERM);
    }
    if let Ok(end) = timeout(shared.config.definition.stop_timeout, container.child.wait()).await {
        return end;
    }
    if let Some(process) = process {
        let _ = kill(process);
    }
    container.child.wait().await
}

/// Returns the exit code as Docker reports it: 128 and the number of the signal for a process that a signal ended.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(255)
}

/// Kills the process and its descendants.
pub(super) fn kill(process: u32) -> io::Result<()> {
    // Suspended first, so that none of them starts another process in the meantime.
    suspend(process)?;
    signal_all(process_tree::of(process), Signal::KILL)
}

/// Suspends the process and its descendants.
pub(super) fn suspend(process: u32) -> io::Result<()> {
    signal(process, Signal::STOP)?;
    signal_all(process_tree::of(process), Signal::STOP)
}

/// Resumes the process and its descendants.
pub(super) fn resume(process: u32) -> io::Result<()> {
    let mut tree = process_tree::of(process);
    tree.reverse();
    signal_all(tree, Signal::CONT)
}

/// Sends a signal to each process. A process that has already ended is not an error.
fn signal_all(processes: Vec<u32>, sent: Signal) -> io::Result<()> {
    for process in processes {
        match signal(process, sent) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

fn signal(process: u32, signal: Signal) -> io::Result<()> {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| io::Error::other("not a process id"))?;
    Ok(kill_process(process, signal)?)
}
