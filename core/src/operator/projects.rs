//! Projects and their API keys.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use streamio_events::api_key::ApiKey;
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::{EventBody, Scope, UnreadableEvent};
use streamio_events::id::{CommitId, KeyId, ProjectId};
use streamio_events::log::{AppendError, EventLog, EventLogExt as _, Expected, ReadError};
use streamio_events::project::{NewKey, Project, ProjectChanges, ProjectRefusal};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::ports::Clock;

/// The environment in the API keys.
const ENVIRONMENT: &str = "live";
/// How often a command is retried if another process changes the same project at the same time.
const MAX_CONFLICTS: u32 = 32;

/// Returns random bytes of the operating system.
pub type Random<'a> = &'a (dyn Fn() -> [u8; 32] + Send + Sync);

/// The settings of a new API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKeyOptions {
    /// The allowed uses; at least one.
    pub scopes: Vec<Scope>,
    /// A name for display.
    pub label: Option<String>,
    /// The time until it expires; `None`: never.
    pub expires_in: Option<Duration>,
}

/// A new API key. The key itself cannot be read later: the log has only its hash.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The project that the key belongs to.
    pub project: Project,
    /// The id of the key.
    pub key_id: KeyId,
    /// The key.
    pub api_key: ApiKey,
}

/// Why a command on a project failed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The state of the project or key does not allow the command.
    #[error(transparent)]
    Refused(#[from] ProjectRefusal),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The events cannot be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The project's events are damaged or have a newer version.
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
}

/// The commands on projects in a log.
#[derive(Clone, Copy)]
pub struct ProjectCommands<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The clock.
    pub clock: Clock<'a>,
    /// The source of keys, and of the ids of commands.
    pub random: Random<'a>,
}

impl ProjectCommands<'_> {
    /// Creates a project and its first key, which has all scopes.
    pub async fn create_project(
        &self,
        id: &ProjectId,
        name: Option<String>,
    ) -> Result<NewApiKey, ProjectError> {
        let all = vec![Scope::Upload, Scope::Playback, Scope::Read, Scope::Admin];
        let options = NewKeyOptions { scopes: all, label: Some("first key".to_owned()), expires_in: None };
        self.with_new_key(id, &options, |project, key| project.create(name.clone(), key)).await
    }

    /// Creates a further key of a project.
    pub async fn create_key(
        &self,
        id: &ProjectId,
        options: &NewKeyOptions,
    ) -> Result<NewApiKey, ProjectError> {
        self.with_new_key(id, options, Project::create_key).await
    }

    /// Revokes a key.
    pub async fn revoke_key(
        &self,
        id: &ProjectId,
        key_id: &KeyId,
        reason: Option<&str>,
    ) -> Result<Project, ProjectError> {
        self.change(id, "revoke key", (self.clock)(), |project| {
            project.revoke_key(key_id, reason.map(str::to_owned))
        })
        .await
    }

    /// Changes settings of a project. They hold for attempts that begin later.
    pub async fn update(&self, id: &ProjectId, changes: &ProjectChanges) -> Result<Project, ProjectError> {
        self.change(id, "update", (self.clock)(), |project| project.update(changes.clone())).await
    }

    /// Suspends a project: the API refuses its requests until it is resumed.
    pub async fn suspend(&self, id: &ProjectId, reason: Option<&str>) -> Result<Project, ProjectError> {
        self.change(id, "suspend", (self.clock)(), |project| project.suspend(reason.map(str::to_owned))).await
    }

    /// Resumes a suspended project.
    pub async fn resume(&self, id: &ProjectId) -> Result<Project, ProjectError> {
        self.change(id, "resume", (self.clock)(), Project::resume).await
    }

    /// Returns the current state of the project.
    pub async fn project(&self, id: &ProjectId) -> Result<Project, ProjectError> {
        let project = self.load(id).await?;
        if project.exists { Ok(project) } else { Err(ProjectRefusal::NotFound(id.clone()).into()) }
    }

    async fn with_new_key(
        &self,
        id: &ProjectId,
        options: &NewKeyOptions,
        decide: impl Fn(&Project, NewKey) -> Result<Vec<EventBody>, ProjectRefusal>,
    ) -> Result<NewApiKey, ProjectError> {
        let api_key =
            ApiKey::generate(ENVIRONMENT, (self.random)()).expect("the environment is two to eight letters");
        let hash = api_key.hash();
        let now = (self.clock)();
        let project = self
            .change(id, "create key", now, |project| {
                let key = NewKey {
                    hash,
                    scopes: options.scopes.clone(),
                    label: options.label.clone(),
                    expires_at: options.expires_in.map(|after| now.plus(after)),
                };
                decide(project, key)
            })
            .await?;
        Ok(NewApiKey { project, key_id: hash.key_id(), api_key })
    }

    /// Appends the events that `decide` returns for the current state of the project. Retries on conflicts. Returns the
    /// project's state afterwards.
    async fn change(
        &self,
        id: &ProjectId,
        action: &str,
        now: Timestamp,
        decide: impl Fn(&Project) -> Result<Vec<EventBody>, ProjectRefusal>,
    ) -> Result<Project, ProjectError> {
        // Every command has its own commit id, so that equal commands are not deduplicated.
        let commit_id =
            CommitId::derived_from(&["operator", action, &BASE64_STANDARD.encode((self.random)())]);
        let stream = StreamId::Project(id.clone());
        let mut conflicts = 0;
        loop {
            let mut project = self.load(id).await?;
            let events = decide(&project)?;
            if events.is_empty() {
                return Ok(project);
            }
            let commit = NewCommit::new(commit_id.clone(), now, events);
            match self.log.append(&stream, Expected::Exactly(project.version), commit).await {
                Ok(appended) => {
                    project.apply_commit(&appended.commit)?;
                    return Ok(project);
                }
                Err(AppendError::Conflict { .. }) if conflicts < MAX_CONFLICTS => conflicts += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn load(&self, id: &ProjectId) -> Result<Project, ProjectError> {
        let commits = self.log.read_to_end(&StreamId::Project(id.clone()), 1).await?;
        Ok(Project::fold(id.clone(), &commits)?)
    }
}

/// Folds all projects of a log.
#[derive(Debug, Default)]
pub struct ProjectList(BTreeMap<ProjectId, Project>);

impl ProjectList {
    /// Applies a commit. Those of one stream must be applied in order; commits of other streams than those of projects are ignored.
    pub fn apply(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        let StreamId::Project(id) = &commit.stream else { return Ok(()) };
        self.0.entry(id.clone()).or_insert_with(|| Project::new(id.clone())).apply_commit(commit)
    }

    /// Returns the projects that exist, ordered by id.
    pub fn into_projects(self) -> Vec<Project> {
        self.0.into_values().filter(|project| project.exists).collect()
    }
}
