//! `streamio webhook public-key`.

use clap::Args;

use crate::args::Connection;
use crate::commands::paging::text;
use crate::commands::video::client;
use crate::exit::Failure;
use crate::output::{Output, printable};

#[derive(Debug, Args)]
pub(crate) struct PublicKey {
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio webhook public-key`.
pub(super) async fn run(arguments: PublicKey, output: Output) -> Result<(), Failure> {
    let key = client(&arguments.connection, output)?.webhook_public_key().await?;
    output.result(&key, || printable(&text(&key, "publicKey")))
}
