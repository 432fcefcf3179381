//! `streamio video update`.

use std::collections::BTreeMap;

use clap::Args;

use super::Id;
use crate::args::{Connection, metadata_entry};
use crate::commands::video_text::describe;
use crate::exit::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The video's id or source key
    #[arg(value_name = "VIDEO")]
    id: Id,
    /// Set this entry of the metadata; other entries stay as they are (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = metadata_entry, required_unless_present = "remove_metadata")]
    metadata: Vec<(String, String)>,
    /// Remove this entry of the metadata (repeatable)
    #[arg(long, value_name = "KEY")]
    remove_metadata: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Update {
    /// The changes, where `None` removes an entry. Fails if an entry is both set and removed.
    fn changes(&self) -> Result<BTreeMap<&str, Option<&str>>, Failure> {
        let set = self.metadata.iter().map(|(key, value)| (key.as_str(), Some(value.as_str())));
        let mut changes: BTreeMap<_, _> = set.collect();
        for key in &self.remove_metadata {
            if changes.insert(key, None).flatten().is_some() {
                return Err(Failure::usage(
                    format!("the metadata {key} is both set and removed"),
                    "name it with --metadata or with --remove-metadata",
                ));
            }
        }
        Ok(changes)
    }
}

/// Runs `streamio video update`.
pub(super) async fn run(arguments: Update, output: Output) -> Result<(), Failure> {
    let changes = arguments.changes()?;
    let client = super::client(&arguments.connection, output)?;
    let video = client.update(&arguments.id.0, &changes).await?;
    output.result(&video.raw, || describe(&video.status))
}
