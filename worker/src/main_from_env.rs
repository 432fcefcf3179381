//! The worker as a process: its environment, its signals, its exit status.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use streamio_events::timestamp::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::event_log;
use crate::exit_code::Exit;
use crate::run::{Ended, Worker};
use crate::settings::Settings;
use crate::stop::{Stop, Stopper};
use crate::storage::s3::S3Storage;
use crate::task_name;
use crate::transcode::Tools;

/// Runs the worker that the environment describes (see [`Settings`]) and gives its exit status (see [`Exit`]).
///
/// It ends early, and says so in the log with how far it was, on SIGTERM (which is how ECS stops a task, two minutes before
/// it takes back spot capacity, and `stopTimeout` before it kills), on SIGINT, and where `STREAMIO_PARENT_PIPE=1` at the end of its
/// standard input, which comes when the parent is gone, however it went.
///
/// What it has to tell its operator goes to standard error, one JSON object a line; with `STREAMIO_LOG_FORMAT=text` in
/// lines for people.
pub fn main_from_env() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,streamio_worker=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails when the program that we are part of has set up its own.
    let _ = match std::env::var("STREAMIO_LOG_FORMAT").as_deref() {
        Ok("text") => log.with_ansi(false).try_init(),
        _ => log.json().try_init(),
    };

    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!("{error}");
            return Exit::Misconfigured.into();
        }
    };
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(settings));
            // A read of standard input cannot be cancelled.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the runtime could not be started");
            Exit::Misconfigured.into()
        }
    }
}

async fn run(settings: Settings) -> Exit {
    // First, so that no signal is missed.
    let stopper = Stopper::default();
    if let Err(error) = listen(&stopper, settings.parent_pipe) {
        tracing::error!(error = &error as &dyn std::error::Error, "signals could not be listened to");
        return Exit::Misconfigured;
    }
    let log = match event_log::open(&settings.log).await {
        Ok(log) => log,
        Err(error) => {
            tracing::error!(error = &*error as &dyn std::error::Error, "the event log could not be opened");
            return Exit::Misconfigured;
        }
    };
    let intake = match &settings.intake {
        Some(place) => Some(event_log::open_intake(place).await),
        None => None,
    };
    let worker = Worker {
        log,
        intake,
        storage: Arc::new(S3Storage::connect(&settings.s3).await),
        job: settings.job,
        task: task_name::of(&settings.task).await,
        tools: Tools { ffmpeg: settings.ffmpeg, ffprobe: settings.ffprobe },
        scratch: settings.scratch,
        now,
    };
    let ended = worker.run(&stopper).await;
    tell(&worker, &ended);
    Exit::from(&ended)
}

fn tell(worker: &Worker, ended: &Ended) {
    let (video, generation, attempt) = (&worker.job.video_id, worker.job.generation, worker.job.attempt);
    let task = &worker.task;
    match ended {
        Ended::Published => {
            tracing::info!(video.id = %video, generation, attempt, task, "the video is published");
        }
        Ended::Fenced(fence) => {
            tracing::info!(video.id = %video, generation, attempt, task, %fence, "nothing (more) to do");
        }
        Ended::Failed(failure) => {
            tracing::info!(video.id = %video, generation, attempt, task, code = failure.code(), "the attempt failed");
        }
        Ended::Interrupted(reason) => {
            tracing::info!(video.id = %video, generation, attempt, task, reason, "the worker was stopped");
        }
        Ended::Unpublished(error) => {
            let error = error as &dyn std::error::Error;
            tracing::error!(video.id = %video, generation, attempt, task, error, "the attempt could not be published");
        }
        Ended::LogUnavailable(error) => {
            let error = error as &dyn std::error::Error;
            tracing::error!(video.id = %video, generation, attempt, task, error, "the log could not be asked or told");
        }
    }
}

fn listen(stopper: &Stopper, parent_pipe: bool) -> std::io::Result<()> {
    for (kind, reason) in [
        (SignalKind::terminate(), "the worker was asked to stop"),
        (SignalKind::interrupt(), "the worker was interrupted"),
    ] {
        let mut signals = signal(kind)?;
        let stopper = stopper.clone();
        tokio::spawn(async move {
            signals.recv().await;
            stopper.stop(Stop::Interrupted(reason));
        });
    }
    if parent_pipe {
        let stopper = stopper.clone();
        tokio::spawn(async move {
            let mut stdin = tokio::io::stdin();
            let mut ignored = [0; 64];
            while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
            stopper.stop(Stop::Interrupted("the worker's parent process ended"));
        });
    }
    Ok(())
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
