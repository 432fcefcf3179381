//! `streamio audit watch`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use streamio_local::audit_check::{CheckpointsError, Growth, LogKey, TileSource, compare_checkpoints};

use super::check_export::unreadable;
use crate::args::Connection;
use crate::client::Client;
use crate::commands::video::client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) const HELP: &str = "\
Examples:
  streamio audit watch --state acme.audit.json
  streamio audit watch --state acme.audit.json --public-key \"$KEY\"

Fetches the last checkpoint with your API key (scope read) and checks, with the tiles of the log, that the log begins with all commits of the checkpoint \
that the file has. Then puts the new one in its place. Run it from time to time, for example by cron, and keep the file where the operator cannot \
change it. The first run writes the file, with the public key of the log, which every later checkpoint must be signed with.

If a commit that a kept checkpoint has was changed, removed or inserted, the log has forked: the exit code is 7, both checkpoints are printed, and the file \
stays as it is. Both are signed by the operator: together they are the proof.";

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// File with the last checkpoint and the public key; made by the first run
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Public key of the project's log, instead of the one that the API returns in the first run
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// What is kept between two runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    public_key: String,
    checkpoint: String,
}

/// The tiles that the API returns.
struct ApiTiles<'a>(&'a Client);

#[async_trait]
impl TileSource for ApiTiles<'_> {
    async fn tile(&self, path: &str) -> Result<Option<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.audit_tile(path).await?)
    }
}

/// Runs `streamio audit watch`.
pub(super) async fn run(arguments: Watch, output: Output) -> Result<(), Failure> {
    let Watch { state: path, public_key, connection } = arguments;
    let client = client(&connection, output)?;
    let kept = read(&path)?;
    let public_key = match (public_key, &kept) {
        (Some(given), Some(kept)) if given.trim() != kept.public_key => {
            return Err(Failure::usage(
                format!("--public-key is not the key that {} has", path.display()),
                "leave it out, or name another file with --state for another log",
            ));
        }
        (Some(given), _) => given.trim().to_owned(),
        (None, Some(kept)) => kept.public_key.clone(),
        (None, None) => client.audit_public_key().await?,
    };
    let key: LogKey = public_key.parse().map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("the public key cannot be used: {error}"),
            "use the publicKey of `GET /audit/public-key`",
        )
    })?;
    let new = client.audit_checkpoint().await?;
    let kept = kept.map(|state| state.checkpoint);
    let growth = match compare_checkpoints(&ApiTiles(&client), &key, kept.as_deref(), &new).await {
        Ok(growth) => growth,
        Err(CheckpointsError::Fork(fork)) => {
            let value = json!({ "forked": true, "reason": fork.to_string(), "kept": kept, "new": new });
            output.result(&value, || {
                format!(
                    "The checkpoint that was kept:\n\n{}\nThe new checkpoint:\n\n{new}",
                    kept.unwrap_or_default()
                )
            })?;
            return Err(Failure::new(
                Exit::Forked,
                format!("the log has forked: {fork}"),
                format!(
                    "keep both checkpoints and {}: both are signed by the operator, who has to explain them",
                    path.display()
                ),
            ));
        }
        Err(error) => return Err(unproven(&error)),
    };
    write(&path, &State { public_key, checkpoint: new }).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("cannot write {}: {error}", path.display()),
            "choose another --state",
        )
    })?;
    let Growth { from, to } = growth;
    output.result(&json!({ "forked": false, "from": from, "to": to }), || match from {
        None => format!("{} is written: the log of {} has {to} commits", path.display(), key.project_id()),
        Some(from) if from == to => format!("The log of {} has {to} commits, as before", key.project_id()),
        Some(from) => format!("The log of {} has grown from {from} to {to} commits", key.project_id()),
    })
}

/// The failure for checkpoints that show nothing.
fn unproven(error: &CheckpointsError) -> Failure {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let message = match error {
        CheckpointsError::Tiles(_) => std::iter::once(error.to_string())
            .chain(causes.map(ToString::to_string))
            .collect::<Vec<_>>()
            .join(": "),
        _ => error.to_string(),
    };
    let (exit, hint) = match error {
        CheckpointsError::Tiles(_) => {
            (Exit::Unavailable, "try again; if it stays so, ask the operator to compute the tiles again")
        }
        CheckpointsError::Damaged => (
            Exit::Failed,
            "try again; if it stays so, keep the file, and ask the operator to run `streamio audit verify`",
        ),
        CheckpointsError::Kept(_) => (Exit::Failed, "restore the file of --state from a copy"),
        _ => (
            Exit::Failed,
            "the log has another key than the file: keep the file, and ask the operator why the key was changed",
        ),
    };
    Failure::new(exit, message, hint)
}

/// The kept state; `None` if there is no file yet.
fn read(path: &Path) -> Result<Option<State>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        let message = format!("{} has no kept checkpoint: {error}", path.display());
        Failure::new(Exit::Failed, message, "restore the file from a copy, or name a new one with --state")
    })
}

/// Writes the state to a temporary file first, so that the file always has one or the other.
fn write(path: &Path, state: &State) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer_pretty(&mut file, state)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(directory)?.sync_all()
}
