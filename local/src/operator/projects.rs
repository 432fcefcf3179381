//! Projects and their API keys.

use streamio_core::operator::{NewApiKey, NewKeyOptions, ProjectCommands, ProjectList};
use streamio_events::id::{KeyId, ProjectId};
use streamio_events::log::ChangesError;
use streamio_events::project::{Project, ProjectChanges};

use super::error::OperatorError;
use super::handle::Operator;
use crate::changes;
use crate::clock;
use crate::secrets::random;

/// How many changes are read at a time.
const BATCH: usize = 1024;

impl Operator {
    fn commands(&self) -> ProjectCommands<'_> {
        ProjectCommands { log: &self.log, clock: &clock::now, random: &random::<32> }
    }

    /// Creates a project and its first key, which has all scopes.
    pub async fn create_project(
        &self,
        id: &ProjectId,
        name: Option<String>,
    ) -> Result<NewApiKey, OperatorError> {
        Ok(self.commands().create_project(id, name).await?)
    }

    /// Creates a further key of a project.
    pub async fn create_key(
        &self,
        id: &ProjectId,
        options: &NewKeyOptions,
    ) -> Result<NewApiKey, OperatorError> {
        Ok(self.commands().create_key(id, options).await?)
    }

    /// Revokes a key. A running platform stops accepting it shortly after.
    pub async fn revoke_key(
        &self,
        id: &ProjectId,
        key_id: &KeyId,
        reason: Option<&str>,
    ) -> Result<Project, OperatorError> {
        Ok(self.commands().revoke_key(id, key_id, reason).await?)
    }

    /// Changes settings of a project. They hold for attempts that begin later.
    pub async fn update(&self, id: &ProjectId, changes: &ProjectChanges) -> Result<Project, OperatorError> {
        Ok(self.commands().update(id, changes).await?)
    }

    /// Suspends a project: the API refuses its requests until it is resumed.
    pub async fn suspend(&self, id: &ProjectId, reason: Option<&str>) -> Result<Project, OperatorError> {
        Ok(self.commands().suspend(id, reason).await?)
    }

    /// Resumes a suspended project.
    pub async fn resume(&self, id: &ProjectId) -> Result<Project, OperatorError> {
        Ok(self.commands().resume(id).await?)
    }

    /// The current state of the project.
    pub async fn project(&self, id: &ProjectId) -> Result<Project, OperatorError> {
        Ok(self.commands().project(id).await?)
    }

    /// All projects, ordered by id.
    pub async fn projects(&self) -> Result<Vec<Project>, OperatorError> {
        let mut projects = ProjectList::default();
        let mut position = 0;
        loop {
            let changes = changes::read(&self.log, changes::Scope::ProjectStreams, position, BATCH).await?;
            let Some(last) = changes.last() else { break };
            position = last.position;
            for change in changes {
                projects.apply(&change.commit.map_err(ChangesError::from)?)?;
            }
        }
        Ok(projects.into_projects())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use streamio_events::event::Scope;
    use streamio_events::project::ProjectRefusal;

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
