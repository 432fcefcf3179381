//! `streamio webhook rotate-secret`.

use std::time::Duration;

use clap::Args;
use streamio_events::id::WebhookId;

use super::text::secret;
use crate::args::Connection;
use crate::commands::paging::text;
use crate::commands::video::client;
use crate::exit::Failure;
use crate::output::Output;

pub(super) const EXAMPLES: &str = "\
Examples:
  streamio webhook rotate-secret whk_aaaaaaaaaaaaaaaaaaaaaaaaaa
  streamio webhook rotate-secret whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --overlap 0s      # after the secret was leaked

During the overlap, messages are signed with both secrets: replace the secret of your server in this time, and no message is \
lost. Where standard output is not a terminal, as in `$(…)`, the new secret alone is printed.";

#[derive(Debug, Args)]
pub(crate) struct RotateSecret {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    /// How long messages are also signed with the old secret, at most 7d (default: 24h)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    overlap: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio webhook rotate-secret`.
pub(super) async fn run(arguments: RotateSecret, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let overlap = arguments.overlap.map(whole_seconds);
    let webhook = client.rotate_webhook_secret(&arguments.id, overlap).await?;
    output.result(&webhook, || {
        let until = match webhook["previousSecretUntil"].as_str() {
            Some(until) => format!("Messages are also signed with the old secret until {until}."),
            None => "Messages are not signed with the old secret any more.".to_owned(),
        };
        secret(&webhook, &format!("{} has a new secret", text(&webhook, "webhookId")), &until, output)
    })
}

/// The duration in seconds, rounded up: less than a second is not none, which would end the old secret at once.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_rounded_up_to_seconds() {
        for (duration, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(999), 1),
            (Duration::from_secs(1), 1),
            (Duration::from_millis(1001), 2),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(whole_seconds(duration), expected, "{duration:?}");
        }
    }
}
