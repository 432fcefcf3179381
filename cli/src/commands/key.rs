//! `streamio key`: a project's API keys.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use serde_json::{Map, Value, json};
use streamio_events::event::Scope;
use streamio_events::id::{KeyId, ProjectId};
use streamio_events::project::{Key, Project};
use streamio_events::timestamp::Timestamp;
use streamio_local::operator::{KeyWishes, Missing};

use super::project::{failure, new_key_json, once, open};
use crate::args::DataDirectory;
use crate::exit::Failure;
use crate::output::{Output, table};

const EXAMPLES: &str = "\
Examples:
  streamio key create acme --label backend
  streamio key create acme --scope upload --expires-in 90d
  streamio key revoke acme key_… --reason leaked

To replace a key without an outage: create the new one, put it into use, then revoke the old one.";

/// Create, list and revoke API keys of a project
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Create an API key and print it, once
    Create(Create),
    /// List a project's API keys
    List(List),
    /// Make an API key stop working
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    project: ProjectId,
    /// What the key may be used for: upload, playback, read, admin (repeatable)
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope, value_delimiter = ',', default_value = "upload,playback,read")]
    scopes: Vec<Scope>,
    /// A name for people, such as where the key is used
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// The key stops working by itself after this long, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    project: ProjectId,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    project: ProjectId,
    /// The key's id, as `key list` shows it (not the key itself)
    #[arg(value_name = "KEY_ID")]
    key: KeyId,
    /// Why, for whoever reads the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    data: DataDirectory,
}

fn scope(text: &str) -> Result<Scope, String> {
    let parsed: Result<Scope, Error> = Scope::deserialize(text.into_deserializer());
    parsed.map_err(|_| "give upload, playback, read or admin".to_owned())
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("a key must live for some time".to_owned()) } else { Ok(duration) }
}

/// Works on the data directory.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => {
            let operator = open(&arguments.data, Missing::Refuse)?;
            let mut scopes = arguments.scopes;
            scopes.sort_unstable();
            scopes.dedup();
            let wishes = KeyWishes { scopes, label: arguments.label, expires_in: arguments.expires_in };
            let made = operator.create_key(&arguments.project, &wishes).await.map_err(failure)?;
            output.answer(&new_key_json(&made), || once(&made))
        }
        Command::List(arguments) => {
            let operator = open(&arguments.data, Missing::Refuse)?;
            let project = operator.project(&arguments.project).await.map_err(failure)?;
            let keys: Vec<Value> = project.keys.iter().map(|(id, key)| to_json(id, key)).collect();
            output.answer(&json!({"data": keys}), || list_of(&project))
        }
        Command::Revoke(arguments) => {
            let operator = open(&arguments.data, Missing::Refuse)?;
            let reason = arguments.reason.as_deref();
            let project =
                operator.revoke_key(&arguments.project, &arguments.key, reason).await.map_err(failure)?;
            let key =
                project.keys.get(&arguments.key).map(|key| to_json(&arguments.key, key)).unwrap_or_default();
            output.answer(&key, || {
                format!("Revoked {}: a running platform refuses it from now on", arguments.key)
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

/// A project's keys as a table.
pub(super) fn list_of(project: &Project) -> String {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let rows = project.keys.iter().map(|(id, key)| {
        let scopes: Vec<_> = key.scopes.iter().filter_map(|scope| serde_json::to_value(scope).ok()).collect();
        let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).collect();
        [
            id.to_string(),
            scopes.join(","),
            key.created_at.to_string(),
            time(key.expires_at),
            time(key.revoked_at),
            key.label.clone().unwrap_or_default(),
        ]
    });
    table(["KEY", "SCOPES", "CREATED", "EXPIRES", "REVOKED", "LABEL"], rows)
}
