//! `streamio webhook`: registers and tests endpoints of webhooks, and shows what was sent to them.

mod add;
mod deliveries;
mod list;
mod public_key;
mod remove;
mod replay;
mod resend;
mod rotate_secret;
mod service;
mod show;
mod target;
mod test;
mod text;
mod update;

use clap::Subcommand;

use crate::exit::Failure;
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  streamio webhook add https://example.com/webhooks     # prints the secret
  streamio webhook test                                 # sends an example of video.ready
  streamio webhook list                                 # the state and the last error of each
  streamio webhook deliveries --state failed            # what did not arrive, and why

A message is sent with POST and signed as Standard Webhooks 1.0 defines. Your server verifies it with the secret and a library \
from https://www.standardwebhooks.com, and answers with a status of 200 to 299 within 15 seconds. WEBHOOK is the id of an \
endpoint (whk_…), as `streamio webhook list` prints it.

The operator of a deployment on AWS may use list, show, deliveries, enable, disable, remove, recover, replay, replays and cancel-replay \
without an API key: with --aws and --project.";

/// Be informed of what happens to videos: register endpoints, test them, see deliveries
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Register an endpoint, to which messages are sent from now on, and print its secret
    #[command(after_help = add::EXAMPLES)]
    Add(add::Add),
    /// List the project's endpoints, with their state and last error
    #[command(
        after_help = "Examples:\n  streamio webhook list\n  streamio webhook list --json | jq -r '.data[] | select(.enabled | not) | .url'"
    )]
    List(list::List),
    /// Show an endpoint
    #[command(after_help = "Example:\n  streamio webhook show whk_aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    Show(show::Show),
    /// Change an endpoint
    #[command(
        after_help = "Examples:\n  streamio webhook update whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --endpoint-url https://example.com/new\n  streamio webhook update whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --type video.ready,video.errored\n  streamio webhook update whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --rate-limit 0       # no limit"
    )]
    Update(update::Update),
    /// Remove an endpoint; nothing more is sent to it
    #[command(
        after_help = "Examples:\n  streamio webhook remove whk_aaaaaaaaaaaaaaaaaaaaaaaaaa\n  streamio webhook remove whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --yes      # in a script"
    )]
    Remove(remove::Remove),
    /// Send messages to an endpoint again that was disabled
    #[command(
        after_help = "Example:\n  streamio webhook enable whk_aaaaaaaaaaaaaaaaaaaaaaaaaa\n\nWhat happened while it was disabled is not sent, unless you send it with `streamio webhook replay`. What had failed before can be sent again with `streamio webhook recover`."
    )]
    Enable(update::Switch),
    /// Send no messages to an endpoint until it is enabled again
    #[command(after_help = "Example:\n  streamio webhook disable whk_aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    Disable(update::Switch),
    /// Replace an endpoint's secret and print the new one
    #[command(after_help = rotate_secret::EXAMPLES)]
    RotateSecret(rotate_secret::RotateSecret),
    /// Send an example of a message to an endpoint
    #[command(after_help = test::EXAMPLES)]
    Test(test::Test),
    /// Print the key with which messages can be verified without a secret
    #[command(
        after_help = "Example:\n  streamio webhook public-key\n\nIt is an Ed25519 key: `whpk_` and base64 of its 32 bytes. It verifies the signature v1a of all messages of the project."
    )]
    PublicKey(public_key::PublicKey),
    /// List deliveries, newest first, or show one with all its attempts
    #[command(after_help = deliveries::EXAMPLES)]
    Deliveries(deliveries::Deliveries),
    /// Send a message again, with the same id and the same bytes
    #[command(
        after_help = "Example:\n  streamio webhook resend whk_aaaaaaaaaaaaaaaaaaaaaaaaaa.msg_aaaaaaaaaaaaaaaaaaaaaaaaaa"
    )]
    Resend(resend::Resend),
    /// Send all messages again that failed since a time
    #[command(after_help = replay::RECOVER_EXAMPLES)]
    Recover(replay::Recover),
    /// Send everything from a past position or time again
    #[command(after_help = replay::REPLAY_EXAMPLES)]
    Replay(replay::Replay),
    /// List what was started with `recover` and `replay`, with its progress
    #[command(after_help = "Example:\n  streamio webhook replays whk_aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    Replays(replay::Replays),
    /// Cancel what was started with `recover` or `replay`; what is scheduled is sent
    #[command(after_help = "Example:\n  streamio webhook cancel-replay whk_aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    CancelReplay(replay::CancelReplay),
}

/// Runs `streamio webhook`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Add(arguments) => add::run(arguments, output).await,
        Command::List(arguments) => list::run(arguments, output).await,
        Command::Show(arguments) => show::run(arguments, output).await,
        Command::Update(arguments) => update::run(arguments, output).await,
        Command::Remove(arguments) => remove::run(arguments, output).await,
        Command::Enable(arguments) => update::switch(arguments, true, output).await,
        Command::Disable(arguments) => update::switch(arguments, false, output).await,
        Command::RotateSecret(arguments) => rotate_secret::run(arguments, output).await,
        Command::Test(arguments) => test::run(arguments, output).await,
        Command::PublicKey(arguments) => public_key::run(arguments, output).await,
        Command::Deliveries(arguments) => deliveries::run(arguments, output).await,
        Command::Resend(arguments) => resend::run(arguments, output).await,
        Command::Recover(arguments) => replay::recover(arguments, output).await,
        Command::Replay(arguments) => replay::replay(arguments, output).await,
        Command::Replays(arguments) => replay::list(arguments, output).await,
        Command::CancelReplay(arguments) => replay::cancel(arguments, output).await,
    }
}
