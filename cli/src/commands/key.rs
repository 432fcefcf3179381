//! `streamio key`: manages a project's API keys.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use serde_json::{Map, Value, json};
use streamio_events::api_key::ApiKey;
use streamio_events::event::Scope;
use streamio_events::id::{InvalidId, KeyId, ProjectId};
use streamio_events::project::Key;
use streamio_local::operator::{IfMissing, NewKeyOptions};

use super::api_keys::{key_table, new_key_json, new_key_text};
use super::confirm::Change;
use super::platform::Platform;
use crate::args::{Approval, Target};
use crate::exit::Failure;
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  streamio key create acme --label backend
  streamio key create acme --scope upload --expires-in 90d
  streamio key list acme
  streamio key revoke acme key_aaaaaaaaaaaaaaaaaaaaaaaaaa --reason leaked
  streamio key create acme --aws --label backend

To replace a key without an outage: create a new one, deploy it, then revoke the old one.";

/// Create, list and revoke API keys of a project
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Create an API key and print it. It cannot be printed again
    #[command(
        after_help = "Examples:\n  streamio key create acme --label backend\n  streamio key create acme --scope upload,read --expires-in 90d"
    )]
    Create(Create),
    /// List a project's API keys
    #[command(after_help = "Example:\n  streamio key list acme")]
    List(List),
    /// Revoke an API key, so that it stops working
    #[command(
        after_help = "Example:\n  streamio key revoke acme key_aaaaaaaaaaaaaaaaaaaaaaaaaa --reason leaked"
    )]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    project: ProjectId,
    /// What the key may do: upload, playback, read, admin (repeatable)
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope, value_delimiter = ',', default_value = "upload,playback,read")]
    scopes: Vec<Scope>,
    /// A description, such as where the key is used
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// The key expires after this time, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    project: ProjectId,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    project: ProjectId,
    /// The key's id, as printed by `key list` (not the key itself)
    #[arg(value_name = "KEY_ID")]
    key: RevokedKey,
    /// The reason, recorded in the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

/// What names the key to revoke. A whole API key is parsed too, because the error for an argument that cannot be parsed repeats it,
/// and the key is a secret.
#[derive(Debug, Clone)]
enum RevokedKey {
    Id(KeyId),
    /// An API key, with its id unless it was changed or cut.
    ApiKey(Option<KeyId>),
}

impl FromStr for RevokedKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim_start().starts_with("sio_") {
            let key: Option<ApiKey> = text.trim().parse().ok();
            return Ok(Self::ApiKey(key.map(|key| key.hash().key_id())));
        }
        text.parse().map(Self::Id)
    }
}

impl RevokedKey {
    /// The id.
    fn id(self, project: &ProjectId) -> Result<KeyId, Failure> {
        let hint = match self {
            Self::Id(id) => return Ok(id),
            Self::ApiKey(Some(id)) => format!("its id is {id}: run `streamio key revoke {project} {id}`"),
            Self::ApiKey(None) => format!("find the key's id with `streamio key list {project}`"),
        };
        Err(Failure::usage(
            "KEY_ID is the id of an API key, not the API key itself, which other users of this machine can see in a command line",
            hint,
        ))
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    let parsed: Result<Scope, Error> = Scope::deserialize(text.into_deserializer());
    parsed.map_err(|_| "must be upload, playback, read or admin".to_owned())
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be longer than zero".to_owned()) } else { Ok(duration) }
}

/// Runs `streamio key`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => {
            let Create { project, target, approval, .. } = &arguments;
            let platform = Platform::open(target, IfMissing::Fail).await?;
            let question = format!("Create an API key of the project {project}?");
            let change =
                Change { subject: "the API key", verb: "create", participle: "created", question: &question };
            platform.approve(approval, &change, output)?;
            let mut scopes = arguments.scopes;
            scopes.sort_unstable();
            scopes.dedup();
            let options = NewKeyOptions { scopes, label: arguments.label, expires_in: arguments.expires_in };
            let new = platform.create_key(&arguments.project, &options).await?;
            output.result(&new_key_json(&new), || new_key_text(&new))
        }
        Command::List(arguments) => {
            let platform = Platform::open(&arguments.target, IfMissing::Fail).await?;
            let project = platform.project(&arguments.project).await?;
            let keys: Vec<Value> = project.keys.iter().map(|(id, key)| to_json(id, key)).collect();
            output.result(&json!({"data": keys}), || key_table(&project))
        }
        Command::Revoke(arguments) => {
            let id = arguments.key.id(&arguments.project)?;
            let platform = Platform::open(&arguments.target, IfMissing::Fail).await?;
            let question = format!("Revoke the API key {id} of the project {}?", arguments.project);
            let change =
                Change { subject: id.as_str(), verb: "revoke", participle: "revoked", question: &question };
            platform.approve(&arguments.approval, &change, output)?;
            let reason = arguments.reason.as_deref();
            let project = platform.revoke_key(&arguments.project, &id, reason).await?;
            let key = project.keys.get(&id).map(|key| to_json(&id, key)).unwrap_or_default();
            output.result(&key, || {
                let effect = if platform.is_local() {
                    "a running platform refuses it from now on"
                } else {
                    "the edge refuses it within seconds, at most a minute"
                };
                format!("Revoked {id}: {effect}")
            })
        }
    }
}

fn to_json(id: &KeyId, key: &Key) -> Value {
    let mut members = Map::from_iter([("keyId".to_owned(), Value::from(id.as_str()))]);
    if let Ok(Value::Object(key)) = serde_json::to_value(key) {
        members.extend(key);
    }
    Value::Object(members)
}
