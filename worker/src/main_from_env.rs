//! Entry point of the worker process: environment, signals, exit status.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
use rustix::process::DumpableBehavior;
use streamio_events::settings::present;
use streamio_events::timestamp::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::event_log;
use crate::exit_code::Exit;
use crate::failure::MachineError;
use crate::run::{RunOutcome, Worker};
use crate::sandbox::{Measures, Sandbox};
use crate::settings::Settings;
use crate::stop::{StopReason, StopSignal};
use crate::storage::s3::S3Storage;
use crate::task_name;
use crate::tools::Tools;

/// Runs the worker configured by the environment (see [`Settings`]) and returns its exit status (see [`Exit`]).
///
/// The worker starts its own program again to isolate FFmpeg, so that the program's `main` must call
/// [`run_if_launcher`](crate::sandbox::run_if_launcher) first.
///
/// The worker stops early and records the interruption with its progress on SIGTERM, on SIGINT, and, with
/// `STREAMIO_PARENT_PIPE=1`, at the end of standard input, which the operating system closes when the parent process ends
/// for any reason. ECS sends SIGTERM two minutes before it reclaims spot capacity, and `stopTimeout` before it sends SIGKILL.
///
/// Logs go to standard error, one JSON object per line, or as text with `STREAMIO_LOG_FORMAT=text`.
pub fn main_from_env() -> ExitCode {
    let log = tracing_subscriber::fmt()
        .with_env_filter(log_filter(std::env::var("RUST_LOG").ok()))
        .with_writer(std::io::stderr);
    // Fails if the embedding program has already installed a subscriber; that one is used.
    let _ = match std::env::var("STREAMIO_LOG_FORMAT").as_deref() {
        Ok("text") => log.with_ansi(false).try_init(),
        _ => log.json().try_init(),
    };

    // Its environment and memory hold the credentials of storage, and other processes of its user may not read them.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user can read the worker's memory");
    }
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Misconfigured.into();
        }
    };
    let sandbox = match sandbox(&settings) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot set up the isolation of FFmpeg"
            );
            return Exit::Misconfigured.into();
        }
    };
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(settings, sandbox));
            // A pending read of standard input cannot be cancelled; a normal shutdown would wait for it.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot start the async runtime");
            Exit::Misconfigured.into()
        }
    }
}

/// Returns the isolation of FFmpeg. Logs what it does not enforce on this machine.
fn sandbox(settings: &Settings) -> Result<Sandbox, MachineError> {
    if !settings.sandbox {
        tracing::warn!("FFmpeg is neither isolated nor limited, because STREAMIO_SANDBOX is off");
        return Ok(Sandbox::off());
    }
    let sandbox = Sandbox::detect(Sandbox::this_program())?;
    for missing in sandbox.measures().map(Measures::missing).unwrap_or_default() {
        tracing::warn!(missing, "FFmpeg is not isolated completely on this machine");
    }
    Ok(sandbox)
}

/// Returns the filter of log lines that the variable `RUST_LOG` describes, or the default if it is blank or invalid.
fn log_filter(variable: Option<String>) -> EnvFilter {
    let filter = variable.and_then(present).and_then(|directives| EnvFilter::try_new(directives).ok());
    filter.unwrap_or_else(|| EnvFilter::new("warn,streamio_worker=info"))
}

async fn run(settings: Settings, sandbox: Sandbox) -> Exit {
    // Before anything else, so that no signal is missed.
    let stop = StopSignal::default();
    if let Err(error) = watch_for_stop(&stop, settings.parent_pipe) {
        tracing::error!(error = &error as &dyn std::error::Error, "cannot install signal handlers");
        return Exit::Misconfigured;
    }
    let log = match event_log::open(&settings.log).await {
        Ok(log) => log,
        Err(error) => {
            tracing::error!(error = &*error as &dyn std::error::Error, "cannot open the event log");
            return Exit::Misconfigured;
        }
    };
    let intake = match &settings.intake {
        Some(location) => Some(event_log::open_intake(location).await),
        None => None,
    };
    let worker = Worker {
        log,
        intake,
        storage: Arc::new(S3Storage::connect(&settings.s3).await),
        job: settings.job,
        task: task_name::resolve(&settings.task).await,
        tools: Tools { ffmpeg: settings.ffmpeg, ffprobe: settings.ffprobe, sandbox },
        scratch: settings.scratch,
        now,
    };
    let outcome = worker.run(&stop).await;
    log_outcome(&worker, &outcome);
    Exit::from(&outcome)
}

fn log_outcome(worker: &Worker, outcome: &RunOutcome) {
    let (video, generation, attempt) = (&worker.job.video_id, worker.job.generation, worker.job.attempt);
    let task = &worker.task;
    match outcome {
        RunOutcome::Published => {
            tracing::info!(video.id = %video, generation, attempt, task, "published the video");
        }
        RunOutcome::Fenced(fence) => {
            tracing::info!(video.id = %video, generation, attempt, task, %fence, "nothing is left to do for this worker");
        }
        RunOutcome::Failed(failure) => {
            tracing::info!(video.id = %video, generation, attempt, task, code = failure.code(), "the attempt failed");
        }
        RunOutcome::Unable(failure) => {
            tracing::warn!(video.id = %video, generation, attempt, task, code = failure.code(), "the platform could not do the work; the attempt is repeated");
        }
        RunOutcome::Interrupted(reason) => {
            tracing::info!(video.id = %video, generation, attempt, task, reason, "the worker was interrupted");
        }
        RunOutcome::Unpublished(error) => {
            let error = error as &dyn std::error::Error;
            tracing::error!(video.id = %video, generation, attempt, task, error, "cannot publish the completed attempt");
        }
        RunOutcome::LogUnavailable(error) => {
            let error = error as &dyn std::error::Error;
            tracing::error!(video.id = %video, generation, attempt, task, error, "the event log is unavailable");
        }
    }
}

fn watch_for_stop(stop: &StopSignal, parent_pipe: bool) -> std::io::Result<()> {
    for (kind, reason) in [
        (SignalKind::terminate(), "the worker was asked to stop"),
        (SignalKind::interrupt(), "the worker was interrupted"),
    ] {
        let mut signals = signal(kind)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signals.recv().await;
            stop.trigger(StopReason::Interrupted(reason));
        });
    }
    if parent_pipe {
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut stdin = tokio::io::stdin();
            let mut ignored = [0; 64];
            while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
            stop.trigger(StopReason::Interrupted("the worker's parent process ended"));
        });
    }
    Ok(())
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_log_filter_selects_the_default() {
        let filter = |variable: Option<&str>| log_filter(variable.map(str::to_owned)).to_string();
        for blank in ["", " \t"] {
            assert_eq!(filter(Some(blank)), filter(None));
        }
        assert_eq!(filter(Some("debug")), "debug");
    }
}
