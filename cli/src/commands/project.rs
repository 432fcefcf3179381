//! `streamio project`: manages the projects (tenants) of a platform on this machine or on AWS.

use clap::{Args, Subcommand};
use serde_json::json;
use streamio_events::id::ProjectId;
use streamio_events::limits::Limit;
use streamio_events::project::{Project, ProjectChanges};
use streamio_local::operator::IfMissing;

use super::api_keys::{key_table, new_key_json, new_key_text};
use super::confirm::Change;
use super::platform::Platform;
use crate::args::{Approval, Target};
use crate::exit::Failure;
use crate::limits::{OWN_LIMIT_HELP, own_limit};
use crate::output::{Output, fields, table};

const EXAMPLES: &str = "\
Examples:
  streamio project create acme --title 'Acme Films'
  streamio project list --data /var/lib/streamio
  streamio project suspend acme --reason unpaid
  streamio project create acme --aws --region eu-west-1

These commands open the data directory directly, or with --aws the tables of the deployment. They work while the platform is running and \
while it is not.";

/// Create and manage projects (tenants)
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Create a project and print its first API key. The key cannot be printed again
    #[command(
        after_help = "Examples:\n  streamio project create acme --title 'Acme Films'\n  export STREAMIO_API_KEY=$(streamio project create acme --json | jq -r .apiKey)\n  streamio project create acme --aws --yes --json     # in a script"
    )]
    Create(Create),
    /// List all projects
    #[command(
        after_help = "Examples:\n  streamio project list --data /var/lib/streamio\n  streamio project list --aws\n\nOn AWS the whole table of the event log is read, which has no list of projects."
    )]
    List(List),
    /// Show a project and its API keys
    #[command(after_help = "Example:\n  streamio project show acme")]
    Show(Show),
    /// Change a project's settings
    #[command(
        after_help = "Examples:\n  streamio project update acme --allow-truncated true\n  streamio project update acme --title 'Acme Films'\n  streamio project update acme --limit stored-bytes=500GB --limit concurrent-encodes=2"
    )]
    Update(Update),
    /// Suspend a project: the API refuses its keys
    #[command(after_help = "Example:\n  streamio project suspend acme --reason unpaid")]
    Suspend(Suspend),
    /// Resume a suspended project
    #[command(after_help = "Example:\n  streamio project resume acme")]
    Resume(Resume),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The project's id: 3 to 40 characters of a-z, 0-9 and -
    #[arg(value_name = "NAME")]
    id: ProjectId,
    /// A display name
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    id: ProjectId,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    id: ProjectId,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

#[derive(Debug, Args)]
#[group(id = "settings", multiple = true, required = true, args = ["title", "allow_truncated", "limit"])]
pub(crate) struct Update {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    id: ProjectId,
    /// A display name
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Whether a file of which a part is missing becomes a shorter video with a warning, instead of ending in the error
    /// `truncated`. Holds for videos whose processing begins later
    #[arg(long, value_name = "BOOLEAN")]
    allow_truncated: Option<bool>,
    #[arg(long, value_name = "NAME=VALUE", value_parser = own_limit, help = OWN_LIMIT_HELP)]
    limit: Vec<(&'static str, Option<Limit>)>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

#[derive(Debug, Args)]
pub(crate) struct Suspend {
    /// The project's id
    #[arg(value_name = "PROJECT")]
    id: ProjectId,
    /// The reason, recorded in the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

/// Runs `streamio project`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create(arguments, output).await,
        Command::List(arguments) => list(arguments, output).await,
        Command::Show(arguments) => {
            let platform = Platform::open(&arguments.target, IfMissing::Fail).await?;
            let project = platform.project(&arguments.id).await?;
            output.result(&project, || describe(&project))
        }
        Command::Update(arguments) => {
            let Update { id, target, approval, .. } = &arguments;
            let platform =
                open_to_change(target, approval, id, ["Change", "change", "changed"], output).await?;
            let changes = ProjectChanges {
                name: arguments.title,
                allow_truncated: arguments.allow_truncated,
                limits: arguments.limit.into_iter().collect(),
            };
            let project = platform.update(&arguments.id, &changes).await?;
            output.result(&project, || describe(&project))
        }
        Command::Suspend(arguments) => {
            let Suspend { id, target, approval, reason } = &arguments;
            let words = ["Suspend", "suspend", "suspended"];
            let platform = open_to_change(target, approval, id, words, output).await?;
            let project = platform.suspend(id, reason.as_deref()).await?;
            output
                .result(&project, || format!("{} is suspended: the API refuses its keys", project.project_id))
        }
        Command::Resume(Resume { id, target, approval }) => {
            let words = ["Resume", "resume", "resumed"];
            let platform = open_to_change(&target, &approval, &id, words, output).await?;
            let project = platform.resume(&id).await?;
            output.result(&project, || {
                format!("{} is resumed: the API accepts its keys again", project.project_id)
            })
        }
    }
}

/// Opens the platform for a change of a project, which the words name: at the beginning of a question, in it, and as a participle.
async fn open_to_change(
    target: &Target,
    approval: &Approval,
    id: &ProjectId,
    [question, verb, participle]: [&str; 3],
    output: Output,
) -> Result<Platform, Failure> {
    let platform = Platform::open(target, IfMissing::Fail).await?;
    let (subject, question) = (format!("the project {id}"), format!("{question} the project {id}?"));
    let change = Change { subject: &subject, verb, participle, question: &question };
    platform.approve(approval, &change, output)?;
    Ok(platform)
}

async fn create(arguments: Create, output: Output) -> Result<(), Failure> {
    let Create { id, title, target, approval } = arguments;
    let is_new = !target.data.path.exists();
    let platform = Platform::open(&target, IfMissing::Create).await?;
    if is_new && platform.is_local() {
        output.note(&format!("Created the data directory {}", target.data.path.display()));
    }
    let (subject, question) = (format!("the project {id}"), format!("Create the project {id}?"));
    let change = Change { subject: &subject, verb: "create", participle: "created", question: &question };
    platform.approve(&approval, &change, output)?;
    let new = platform.create_project(&id, title).await?;
    output.result(&new_key_json(&new), || {
        let address = if platform.is_local() {
            ""
        } else {
            "\n  export STREAMIO_URL=https://…          # the address of your API"
        };
        let next = output.guidance(format!(
            "\n\nUse it:{address}\n  export STREAMIO_API_KEY={}\n  streamio upload clip.mp4 --wait",
            new.api_key.reveal()
        ));
        format!("Created the project {}\n\n{}{next}", new.project.project_id, new_key_text(&new))
    })
}

async fn list(arguments: List, output: Output) -> Result<(), Failure> {
    let platform = Platform::open(&arguments.target, IfMissing::Fail).await?;
    let projects = platform.projects().await?;
    output.result(&json!({"data": projects}), || {
        if projects.is_empty() {
            return "There are no projects yet. Create one with `streamio project create NAME`.".to_owned();
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

fn truncated(allowed: bool) -> &'static str {
    if allowed { "become shorter videos with a warning" } else { "end in the error `truncated`" }
}

fn describe(project: &Project) -> String {
    let mut facts = vec![
        ("Project", Some(project.project_id.to_string())),
        ("Title", project.name.clone()),
        ("State", Some(state(project).to_owned())),
        ("Created", Some(project.created_at.to_string())),
    ];
    if let Some(allowed) = project.allow_truncated {
        facts.push(("Truncated files", Some(truncated(allowed).to_owned())));
    }
    for (name, limit) in project.limits.iter() {
        facts.push((name, Some(limit.to_string())));
    }
    let facts = fields(&facts);
    format!("{facts}\n\n{}", key_table(project))
}
