//! The `streamio` command: run the platform, use it, operate it.
//!
//! [`commands`] has a module for each command with its arguments. Those that use a platform (`upload`, `video`,
//! `playback-url`) speak to the API through [`client`] and nothing else; [`transfer`] brings files to the object store,
//! [`resume`] remembers what a cut-off upload has stored, [`wait`] tells what became of it. Those that operate one
//! (`project`, `key`, `events`) work on its data directory. Every command ends through [`output`], in text for people or
//! in JSON for programs, and [`exit`] says with which code.

mod args;
mod client;
mod commands;
mod exit;
mod output;
mod progress;
mod resume;
mod transfer;
mod wait;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    if matches!(cli.command, Command::Worker) {
        // The worker brings its own runtime, and everything it needs is in its environment.
        return streamio_local::worker_main();
    }
    let output = Output { json: cli.json, quiet: cli.quiet };
    match commands::run(cli.command, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.fail(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Shows what clap says of the command line: help and version on standard output, errors in the form that was asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if wants_json && error.use_stderr() {
        let text = error.render().to_string();
        let message =
            text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default().trim().to_owned();
        let failure = Failure::usage(message, "see `streamio --help`");
        let _ = writeln!(std::io::stderr(), "{}", failure.json());
    } else {
        // A closed output is no reason for another error.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
