//! The life of a task: a process that is started, watched and stopped.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::task::{Status, StopCode};
use super::{Shared, metadata, process_tree};

/// Waits for the word that its process has ended. Without it this program is gone: the process, which notices that by
/// itself, gets a moment for its end, also when it is frozen, and is then killed.
const WATCHDOG: &str =
    r#"read -r word; [ "$word" = ended ] || { kill -CONT "$1"; sleep 3; kill -KILL "$1"; } 2>/dev/null"#;

/// From PENDING to STOPPED.
pub(super) async fn live(shared: Arc<Shared>, arn: String) {
    let Some(stop) = shared.tasks().find(&arn).map(|state| state.stop.clone()) else { return };
    shared.change(&arn, |state| state.status = Status::Pending);
    let begun = async {
        tokio::time::sleep(shared.config.start_delay).await;
        shared.change(&arn, |state| state.status = Status::Activating);
    };
    let go_on = tokio::select! {
        () = begun => true,
        () = stop.cancelled() => false,
        () = shared.stop.cancelled() => return,
    };
    if go_on && !stop.is_cancelled() {
        match start(&shared, &arn) {
            Ok(mut container) => {
                let process = container.child.id();
                shared.change(&arn, |state| {
                    state.status = Status::Running;
                    state.started = Some(OffsetDateTime::now_utc());
                    state.process = process;
                });
                let end = run(&shared, &mut container, &stop).await;
                container.said_to_have_ended().await;
                shared.change(&arn, |state| {
                    state.process = None;
                    state.status = Status::Deprovisioning;
                    state.wish_stop(
                        StopCode::EssentialContainerExited,
                        "Essential container in task exited".to_owned(),
                    );
                    state.exit_code = end.ok().map(exit_code);
                });
            }
            Err(error) => shared.change(&arn, |state| {
                state.status = Status::Deprovisioning;
                state.container_reason = Some(format!("CannotStartContainerError: {error}"));
                state.wish_stop(StopCode::TaskFailedToStart, "Task failed to start".to_owned());
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
    /// From here on its number may be another process's.
    async fn said_to_have_ended(&mut self) {
        if let Some(mut word) = self.watchdog.stdin.take() {
            let _ = word.write_all(b"ended\n").await;
        }
        let _ = self.watchdog.wait().await;
    }
}

fn start(shared: &Shared, arn: &str) -> io::Result<Container> {
    let definition = &shared.config.definition;
    let (id, overrides) = {
        let tasks = shared.tasks();
        let state = tasks.find(arn).ok_or_else(|| io::Error::other("the task is gone"))?;
        (state.id().to_owned(), state.wishes.environment.clone())
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
        // Not of ECS: the worker ends when its standard input does, so that none outlives this program.
        .env("STREAMIO_PARENT_PIPE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(File::create(shared.config.logs.join(format!("{id}.log")))?)
        // Ctrl-C is for this program, which stops things in order.
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

async fn run(
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
            // One that is frozen could not even end.
            let _ = thaw(process);
        }
        let _ = signal(process, Signal::TERM);
    }
    let timeout = shared.config.definition.stop_timeout;
    if let Ok(end) = within(timeout, container.child.wait()).await {
        return end;
    }
    if let Some(process) = process {
        let _ = kill(process);
    }
    container.child.wait().await
}

async fn within<F: Future>(time: Duration, work: F) -> Result<F::Output, tokio::time::error::Elapsed> {
    tokio::time::timeout(time, work).await
}

/// As Docker states it.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(255)
}

/// Ends the process and all that it has started.
pub(super) fn kill(process: u32) -> io::Result<()> {
    // Frozen first, so that none of them can start another one meanwhile.
    freeze(process)?;
    each(process_tree::of(process), Signal::KILL)
}

pub(super) fn freeze(process: u32) -> io::Result<()> {
    signal(process, Signal::STOP)?;
    each(process_tree::of(process), Signal::STOP)
}

pub(super) fn thaw(process: u32) -> io::Result<()> {
    let mut tree = process_tree::of(process);
    tree.reverse();
    each(tree, Signal::CONT)
}

/// One that has just ended is as good as reached.
fn each(processes: Vec<u32>, what: Signal) -> io::Result<()> {
    for process in processes {
        match signal(process, what) {
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
    let process = process.ok_or_else(|| io::Error::other("not the number of a process"))?;
    Ok(kill_process(process, signal)?)
}
