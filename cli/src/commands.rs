//! The commands, one module each, with their arguments.

mod api_keys;
mod audit;
#[cfg(feature = "aws")]
mod aws;
mod backup;
mod confirm;
mod data_directory;
mod dead_letters;
mod events;
mod key;
mod paging;
mod platform;
mod playback;
mod playback_url;
mod project;
mod restore;
mod store;
mod up;
mod upload;
mod video;
mod video_text;
mod webhook;

use clap::Subcommand;

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::Arguments),
    #[command(subcommand)]
    Project(project::Command),
    #[command(subcommand)]
    Key(key::Command),
    Upload(upload::Arguments),
    #[command(subcommand)]
    Video(video::Command),
    Playback(playback::Arguments),
    PlaybackUrl(playback_url::Arguments),
    #[command(subcommand)]
    Events(events::Command),
    #[command(subcommand)]
    Audit(audit::Command),
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    #[command(subcommand)]
    Webhook(webhook::Command),
    #[command(subcommand)]
    Store(store::Command),
    Backup(backup::Arguments),
    Restore(restore::Arguments),
    /// Process one video; started by `streamio up` with the job in the environment
    #[command(name = "__worker", hide = true)]
    Worker,
}

/// Runs a command to its end.
pub(crate) fn run(command: Command, output: Output) -> Result<(), Failure> {
    let mut runtime = match command {
        // The platform needs several threads; the other commands only make a few calls.
        Command::Up(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build().map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot start the async runtime: {error}"), "")
    })?;
    runtime.block_on(async {
        match command {
            Command::Up(arguments) => up::run(arguments, output).await,
            Command::Project(command) => project::run(command, output).await,
            Command::Key(command) => key::run(command, output).await,
            Command::Upload(arguments) => upload::run(arguments, output).await,
            Command::Video(command) => video::run(command, output).await,
            Command::Playback(arguments) => playback::run(arguments, output).await,
            Command::PlaybackUrl(arguments) => playback_url::run(arguments, output).await,
            Command::Events(command) => events::run(command, output).await,
            Command::Audit(command) => audit::run(command, output).await,
            Command::DeadLetters(command) => dead_letters::run(command, output).await,
            Command::Webhook(command) => webhook::run(command, output).await,
            Command::Store(command) => store::run(command, output).await,
            Command::Backup(arguments) => backup::run(arguments, output).await,
            Command::Restore(arguments) => restore::run(arguments, output).await,
            Command::Worker => {
                Err(Failure::usage("__worker is started by the platform only", "use `streamio up`"))
            }
        }
    })
}
