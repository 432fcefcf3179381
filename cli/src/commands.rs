//! The commands, each with its arguments.

pub(crate) mod events;
pub(crate) mod key;
pub(crate) mod playback_url;
pub(crate) mod project;
pub(crate) mod up;
pub(crate) mod upload;
pub(crate) mod video;

use crate::args::Command;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Does what the command line says.
pub(crate) fn run(command: Command, output: Output) -> Result<(), Failure> {
    let mut runtime = match command {
        // The platform serves; everything else makes a call or two.
        Command::Up(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build().map_err(|error| {
        Failure::new(Exit::Failed, format!("the operating system gave no event loop: {error}"), "")
    })?;
    runtime.block_on(async {
        match command {
            Command::Up(arguments) => up::run(arguments, output).await,
            Command::Project(command) => project::run(command, output).await,
            Command::Key(command) => key::run(command, output).await,
            Command::Upload(arguments) => upload::run(arguments, output).await,
            Command::Video(command) => video::run(command, output).await,
            Command::PlaybackUrl(arguments) => playback_url::run(arguments, output).await,
            Command::Events(command) => events::run(command, output).await,
            Command::Worker => Err(Failure::usage("__worker is for the platform alone", "use `streamio up`")),
        }
    })
}

/// Completes when this process is asked to stop: Ctrl-C, or SIGTERM where there is one.
pub(crate) async fn stopped() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the signal ends the process itself.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    () = interrupt => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(_) => interrupt.await,
        }
    }
    #[cfg(not(unix))]
    interrupt.await;
}
