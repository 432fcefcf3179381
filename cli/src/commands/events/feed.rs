//! `streamio events feed`: reads a project's events through the API.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::args::Connection;
use crate::client::Client;
use crate::client::retry::RetryPolicy;
use crate::commands::video;
use crate::exit::Failure;
use crate::output::{Output, unwritable};
use crate::signals::stop_requested;

/// Time between two requests for events that have not happened yet.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum page size of the API.
const EVENTS_PER_PAGE: u32 = 100;

#[derive(Debug, Args)]
pub(crate) struct Feed {
    /// Continue to print new events until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Begin after this position, which an earlier run has printed (default: at the first event)
    #[arg(long, value_name = "POSITION")]
    after: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Why the events are no longer printed.
enum End {
    /// All events so far are printed.
    Complete,
    /// The reader of standard output has closed it.
    Closed,
}

/// Runs `streamio events feed`.
pub(super) async fn run(arguments: Feed, output: Output) -> Result<(), Failure> {
    let client = video::client(&arguments.connection, output)?;
    let mut position = arguments.after;
    let printing = print_events(&client, &mut position, arguments.follow);
    let end = tokio::select! {
        end = printing => end?,
        // The normal end of --follow.
        () = stop_requested() => End::Complete,
    };
    if let (End::Complete, Some(position)) = (end, position) {
        output.note(&format!("Continue with --after {position}"));
    }
    Ok(())
}

/// Prints all events after `position`, and with `follow` new ones as they happen. `position` is then that of the last one printed.
async fn print_events(client: &Client, position: &mut Option<String>, follow: bool) -> Result<End, Failure> {
    loop {
        let page = client.feed(position.as_deref(), EVENTS_PER_PAGE, RetryPolicy::Long).await?;
        if !print(&page.data).map_err(|error| unwritable(&error))? {
            return Ok(End::Closed);
        }
        *position = page.position.or_else(|| position.take());
        if page.next_cursor.is_some() {
            continue;
        }
        if !follow {
            return Ok(End::Complete);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Prints one event per line. Returns whether standard output is still open.
fn print(events: &[Value]) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    let written =
        events.iter().try_for_each(|event| writeln!(stdout, "{event}")).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}
