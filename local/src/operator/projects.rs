//! Projects and their API keys.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::{EventBody, Scope};
use streamio_events::id::{CommitId, KeyId, ProjectId};
use streamio_events::log::{AppendError, ChangesError, EventLog as _, EventLogExt as _, Expected};
use streamio_events::project::{NewKey, Project, ProjectChanges, ProjectRefusal};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::error::OperatorError;
use super::handle::Operator;
use crate::changes;
use crate::clock;
use crate::secrets::random;

/// The environment in the API keys of this platform.
const ENVIRONMENT: &str = "live";
/// How often a command is retried if another process changes the same project at the same time.
const MAX_CONFLICTS: u32 = 32;
/// How many changes are read at a time.
const BATCH: usize = 1024;

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

impl Operator {
    /// Creates a project and its first key, which has all scopes.
    pub async fn create_project(
        &self,
        id: &ProjectId,
        name: Option<String>,
    ) -> Result<NewApiKey, OperatorError> {
        let all = vec![Scope::Upload, Scope::Playback, Scope::Read, Scope::Admin];
        let options = NewKeyOptions { scopes: all, label: Some("first key".to_owned()), expires_in: None };
        self.with_new_key(id, &options, |project, key| project.create(name.clone(), key)).await
    }

    /// Creates a further key of a project.
    pub async fn create_key(
        &self,
        id: &ProjectId,
        options: &NewKeyOptions,
    ) -> Result<NewApiKey, OperatorError> {
        self.with_new_key(id, options, Project::create_key).await
    }

    /// Revokes a key. A running platform stops accepting it shortly after.
    pub async fn revoke_key(
        &self,
        id: &ProjectId,
        key_id: &KeyId,
        reason: Option<&str>,
    ) -> Result<Project, OperatorError> {
        self.change(id, "revoke key", clock::now(), |project| {
            project.revoke_key(key_id, reason.map(str::to_owned))
        })
        .await
    }

    /// Changes settings of a project. They hold for attempts that begin later.
    pub async fn update(&self, id: &ProjectId, changes: &ProjectChanges) -> Result<Project, OperatorError> {
        self.change(id, "update", clock::now(), |project| project.update(changes.clone())).await
    }

    /// Suspends a project: the API refuses its requests until it is resumed.
    pub async fn suspend(&self, id: &ProjectId, reason: Option<&str>) -> Result<Project, OperatorError> {
        self.change(id, "suspend", clock::now(), |project| project.suspend(reason.map(str::to_owned))).await
    }

    /// Resumes a suspended project.
    pub async fn resume(&self, id: &ProjectId) -> Result<Project, OperatorError> {
        self.change(id, "resume", clock::now(), Project::resume).await
    }

    /// The current state of the project.
    pub async fn project(&self, id: &ProjectId) -> Result<Project, OperatorError> {
        let project = self.load(id).await?;
        if project.exists { Ok(project) } else { Err(ProjectRefusal::NotFound(id.clone()).into()) }
    }

    /// All projects, ordered by id.
    pub async fn projects(&self) -> Result<Vec<Project>, OperatorError> {
        let mut projects: BTreeMap<ProjectId, Project> = BTreeMap::new();
        let mut position = 0;
        loop {
            let changes = changes::read(&self.log, changes::Scope::ProjectStreams, position, BATCH).await?;
            let Some(last) = changes.last() else { break };
            position = last.position;
            for change in changes {
                let commit = change.commit.map_err(ChangesError::from)?;
                if let StreamId::Project(id) = &commit.stream {
                    let project = projects.entry(id.clone()).or_insert_with(|| Project::new(id.clone()));
                    project.apply_commit(&commit)?;
                }
            }
        }
        Ok(projects.into_values().filter(|project| project.exists).collect())
    }

    async fn with_new_key(
        &self,
        id: &ProjectId,
        options: &NewKeyOptions,
        decide: impl Fn(&Project, NewKey) -> Result<Vec<EventBody>, ProjectRefusal>,
    ) -> Result<NewApiKey, OperatorError> {
        let api_key =
            ApiKey::generate(ENVIRONMENT, random()).expect("the environment is two to eight letters");
        let hash = api_key.hash();
        let now = clock::now();
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
    ) -> Result<Project, OperatorError> {
        // Every command has its own commit id, so that equal commands are not deduplicated.
        let commit_id = CommitId::derived_from(&["operator", action, &HEXLOWER.encode(&random::<16>())]);
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

    async fn load(&self, id: &ProjectId) -> Result<Project, OperatorError> {
        let commits = self.log.read_to_end(&StreamId::Project(id.clone()), 1).await?;
        Ok(Project::fold(id.clone(), &commits)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::IfMissing;

    fn open(directory: &tempfile::TempDir) -> Operator {
        Operator::open(directory.path(), IfMissing::Create).unwrap()
    }

    fn acme() -> ProjectId {
        "acme".parse().unwrap()
    }

    #[tokio::test]
    async fn a_project_is_created_once_and_its_key_is_kept_as_a_hash_only() {
        let directory = tempfile::tempdir().unwrap();
        let operator = open(&directory);
        let created = operator.create_project(&acme(), Some("Acme Films".to_owned())).await.unwrap();
        assert_eq!(created.project.name.as_deref(), Some("Acme Films"));
        assert_eq!(created.project.keys[&created.key_id].hash, created.api_key.hash());
        let again = operator.create_project(&acme(), None).await.unwrap_err();
        assert!(matches!(again, OperatorError::Refused(ProjectRefusal::Exists(_))), "{again}");
        drop(operator);
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let secret = created.api_key.reveal().as_bytes();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }

    #[tokio::test]
    async fn two_processes_can_change_one_project_concurrently() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (open(&directory), open(&directory));
        one.create_project(&acme(), None).await.unwrap();
        let options = NewKeyOptions { scopes: vec![Scope::Read], label: None, expires_in: None };
        let keys = (0..8).map(|index| {
            let operator = if index % 2 == 0 { one.clone() } else { other.clone() };
            let options = options.clone();
            async move { operator.create_key(&acme(), &options).await.unwrap().key_id }
        });
        let keys = futures::future::join_all(keys).await;
        let project = one.project(&acme()).await.unwrap();
        assert_eq!(project.keys.len(), 9);
        assert!(keys.iter().all(|key| project.keys.contains_key(key)));
    }

    #[tokio::test]
    async fn a_command_without_effect_is_not_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let operator = open(&directory);
        let key_id = operator.create_project(&acme(), None).await.unwrap().key_id;
        let suspended = operator.suspend(&acme(), Some("unpaid")).await.unwrap();
        assert!(suspended.suspended);
        assert_eq!(operator.suspend(&acme(), None).await.unwrap().version, suspended.version);
        assert!(!operator.resume(&acme()).await.unwrap().suspended);
        let changes = ProjectChanges {
            name: Some("Acme".to_owned()),
            allow_truncated: Some(true),
            ..ProjectChanges::default()
        };
        let updated = operator.update(&acme(), &changes).await.unwrap();
        assert_eq!((updated.name.as_deref(), updated.allow_truncated), (Some("Acme"), Some(true)));
        assert_eq!(operator.update(&acme(), &changes).await.unwrap().version, updated.version);
        let nothing = ProjectChanges::default();
        assert_eq!(operator.update(&acme(), &nothing).await.unwrap().version, updated.version);
        let revoked = operator.revoke_key(&acme(), &key_id, Some("leaked")).await.unwrap();
        assert!(revoked.keys[&key_id].revoked_at.is_some());
        assert_eq!(operator.revoke_key(&acme(), &key_id, None).await.unwrap().version, revoked.version);
    }

    #[tokio::test]
    async fn projects_are_listed_in_order_and_unknown_ones_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let operator = open(&directory);
        for name in ["zebra", "acme"] {
            operator.create_project(&name.parse().unwrap(), None).await.unwrap();
        }
        let names: Vec<_> = operator
            .projects()
            .await
            .unwrap()
            .into_iter()
            .map(|project| project.project_id.to_string())
            .collect();
        assert_eq!(names, ["acme", "zebra"]);
        let unknown = "unknown".parse().unwrap();
        for refusal in [operator.project(&unknown).await.err(), operator.suspend(&unknown, None).await.err()]
        {
            assert!(
                matches!(refusal, Some(OperatorError::Refused(ProjectRefusal::NotFound(_)))),
                "{refusal:?}"
            );
        }
        assert_eq!(operator.projects().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_key_expires_after_the_requested_time() {
        let directory = tempfile::tempdir().unwrap();
        let operator = open(&directory);
        operator.create_project(&acme(), None).await.unwrap();
        let day = Duration::from_hours(24);
        let options = NewKeyOptions {
            scopes: vec![Scope::Upload],
            label: Some("ci".to_owned()),
            expires_in: Some(day),
        };
        let created = operator.create_key(&acme(), &options).await.unwrap();
        let key = &created.project.keys[&created.key_id];
        assert_eq!(key.expires_at, Some(key.created_at.plus(day)));
        let none = NewKeyOptions { scopes: vec![], ..options };
        let refusal = operator.create_key(&acme(), &none).await.unwrap_err();
        assert!(matches!(refusal, OperatorError::Refused(ProjectRefusal::NoScopes)), "{refusal}");
    }
}
