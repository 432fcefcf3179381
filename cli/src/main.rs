//! The `streamio` command: run the platform, use it, operate it.
//!
//! [`command_line`] has the global options, [`commands`] a module for each command with its arguments, [`args`] the arguments
//! that several commands share. The commands that use a platform (`upload`, `video`, `playback`, `playback-url`, `webhook`) call its API through
//! [`client`]; [`transfer`] uploads files to the object store and resumes interrupted uploads, and [`wait`] waits for the
//! result. The commands that operate a platform (`project`, `key`, `events`, `audit`, `dead-letters`, `backup`, `restore`) open its data
//! directory, or with `--aws` the tables of a deployment. Every command prints its
//! result through [`output`], as text or JSON, and ends with a code from [`exit`].

mod args;
#[cfg(feature = "aws")]
mod aws_settings;
mod client;
mod command_line;
mod commands;
mod exit;
mod limits;
mod logging;
mod output;
mod permissions;
mod progress;
mod signals;
mod transfer;
mod wait;

use std::io::Write;
use std::process::ExitCode;

use crate::command_line::CommandLine;
use crate::commands::Command;
use crate::exit::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    // A worker starts this program again for each process of FFmpeg.
    if let Some(exit) = streamio_local::run_if_worker_launcher() {
        return exit;
    }
    let command_line = match CommandLine::from_process() {
        Ok(command_line) => command_line,
        Err(error) => return report_usage(&error),
    };
    if matches!(command_line.command, Command::Worker) {
        // The worker has its own runtime and reads all its settings from the environment.
        if command_line.quiet
            && let Err(failure) = logging::start_quiet_worker()
        {
            Output { json: false, quiet: true }.failure(&failure);
        }
        return streamio_local::worker_main();
    }
    let output = Output { json: command_line.json, quiet: command_line.quiet };
    match commands::run(command_line.command, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Prints clap's message: help and version on standard output, errors on standard error, as JSON with `--json`.
fn report_usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if wants_json && error.use_stderr() {
        let text = error.render().to_string();
        let message =
            text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default().trim().to_owned();
        let failure = Failure::usage(message, "see `streamio --help`");
        let _ = writeln!(std::io::stderr(), "{}", failure.json());
    } else {
        // Nothing can be done if the output is closed.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
