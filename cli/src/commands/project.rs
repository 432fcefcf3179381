//! `streamio project`: the tenants of a platform on this machine.

use clap::{Args, Subcommand};
use serde_json::json;
use streamio_events::id::ProjectId;
use streamio_events::project::{Project, ProjectRefusal};
use streamio_local::operator::{Missing, NewApiKey, Operator, OperatorError};

use super::key;
use crate::args::DataDirectory;
use crate::exit::{Exit, Failure};
use crate::output::{Output, fields, table};

const EXAMPLES: &str = "\
Examples:
  streamio project create acme --title 'Acme Films'
  streamio project list --data /var/lib/streamio
  streamio project suspend acme --reason unpaid

These commands work on the data directory itself, whether the platform runs on it or not.";

/// Create and manage projects: the tenants
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Create a project and print its first API key, once
    Create(Create),
    /// List all projects
    List(List),
    /// Show a project and its API keys
    Show(One),
    /// Refuse all use of the API to a project
    Suspend(Suspend),
    /// Let a suspended project use the API again
    Resume(One),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The project's id: 3 to 40 of a-z, 0-9 and -
    #[arg(value_name = "NAME")]
    id: ProjectId,
    /// A name for people
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    id: ProjectId,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Debug, Args)]
pub(crate) struct Suspend {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    id: ProjectId,
    /// Why, for whoever reads the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    data: DataDirectory,
}

/// Works on the data directory.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create(arguments, output).await,
        Command::List(arguments) => list(arguments, output).await,
        Command::Show(arguments) => {
            let operator = open(&arguments.data, Missing::Refuse)?;
            let project = operator.project(&arguments.id).await.map_err(failure)?;
            output.answer(&project, || describe(&project))
        }
        Command::Suspend(arguments) => {
            let operator = open(&arguments.data, Missing::Refuse)?;
            let reason = arguments.reason.as_deref();
            let project = operator.suspend(&arguments.id, reason).await.map_err(failure)?;
            output
                .answer(&project, || format!("{} is suspended: the API refuses its keys", project.project_id))
        }
        Command::Resume(arguments) => {
            let operator = open(&arguments.data, Missing::Refuse)?;
            let project = operator.resume(&arguments.id).await.map_err(failure)?;
            output.answer(&project, || format!("{} may use the API again", project.project_id))
        }
    }
}

async fn create(arguments: Create, output: Output) -> Result<(), Failure> {
    let is_new = !arguments.data.path.exists();
    let operator = open(&arguments.data, Missing::Make)?;
    if is_new {
        output.note(&format!("Made the data directory {}", arguments.data.path.display()));
    }
    let made = operator.create_project(&arguments.id, arguments.title).await.map_err(failure)?;
    output.answer(&new_key_json(&made), || {
        format!(
            "Created the project {}\n\n{}\n\nUse it:\n  export STREAMIO_API_KEY={}\n  streamio upload clip.mp4 --wait",
            made.project.project_id,
            once(&made),
            made.api_key.reveal()
        )
    })
}

async fn list(arguments: List, output: Output) -> Result<(), Failure> {
    let operator = open(&arguments.data, Missing::Refuse)?;
    let projects = operator.projects().await.map_err(failure)?;
    output.answer(&json!({"data": projects}), || {
        if projects.is_empty() {
            return "There are no projects yet: `streamio project create NAME` makes one.".to_owned();
        }
        let rows = projects.iter().map(|project| {
            let live = project.keys.values().filter(|key| key.revoked_at.is_none()).count();
            [
                project.project_id.to_string(),
                state(project).to_owned(),
                live.to_string(),
                project.created_at.to_string(),
                project.name.clone().unwrap_or_default(),
            ]
        });
        table(["PROJECT", "STATE", "KEYS", "CREATED", "TITLE"], rows)
    })
}

fn state(project: &Project) -> &'static str {
    if project.suspended { "suspended" } else { "active" }
}

fn describe(project: &Project) -> String {
    let facts = fields(&[
        ("Project", Some(project.project_id.to_string())),
        ("Title", project.name.clone()),
        ("State", Some(state(project).to_owned())),
        ("Created", Some(project.created_at.to_string())),
    ]);
    format!("{facts}\n\n{}", key::list_of(project))
}

/// `{projectId, apiKey, keyId}`, for the one moment in which the key is seen.
pub(super) fn new_key_json(made: &NewApiKey) -> serde_json::Value {
    json!({"projectId": made.project.project_id, "apiKey": made.api_key.reveal(), "keyId": made.key_id})
}

/// The key, for people.
pub(super) fn once(made: &NewApiKey) -> String {
    format!("API key {} (shown this once; only its hash is kept):\n  {}", made.key_id, made.api_key.reveal())
}

/// Opens the data directory that the arguments name.
pub(super) fn open(data: &DataDirectory, missing: Missing) -> Result<Operator, Failure> {
    Operator::open(&data.path, missing).map_err(failure)
}

/// What an operator's error means for the command.
pub(super) fn failure(error: OperatorError) -> Failure {
    let what = chain(&error);
    match error {
        OperatorError::NoData(_) => Failure::new(
            Exit::NotFound,
            what,
            "name the platform's directory with --data; `streamio up` or `streamio project create` makes one",
        ),
        OperatorError::Refused(ProjectRefusal::NotFound(_)) => {
            Failure::new(Exit::NotFound, what, "list them with `streamio project list`")
        }
        OperatorError::Refused(ProjectRefusal::NoSuchKey { project_id, .. }) => {
            Failure::new(Exit::NotFound, what, format!("list them with `streamio key list {project_id}`"))
        }
        OperatorError::Refused(ProjectRefusal::Exists(id)) => Failure::new(
            Exit::Failed,
            what,
            format!("choose another name, or make a key with `streamio key create {id}`"),
        ),
        OperatorError::Refused(ProjectRefusal::NoScopes) => Failure::usage(what, "give one with --scope"),
        OperatorError::Append(_) | OperatorError::Read(_) | OperatorError::Changes(_) => Failure::new(
            Exit::Unavailable,
            what,
            "check the disk and the rights on the data directory, then try again",
        ),
        OperatorError::DataDir(_)
        | OperatorError::Open(_)
        | OperatorError::Unreadable(_)
        | OperatorError::Write(_) => Failure::new(Exit::Failed, what, ""),
    }
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
