//! Projects and their API keys.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use streamio_core::operator::{NewApiKey, NewKeyOptions, ProjectCommands, ProjectError, ProjectList};
use streamio_core::ports::pending_replications::PendingReplications as _;
use streamio_events::error_chain::chain;
use streamio_events::id::{KeyId, ProjectId};
use streamio_events::log::{Part, ReadError};
use streamio_events::project::{Project, ProjectChanges};

use super::deployment::AwsOperator;
use super::error::AwsOperatorError;
use super::events::{PAGE, PARTS};
use crate::clock::clock;

/// The names of the streams of projects begin with this.
const PROJECT_STREAMS: &str = "project/";

impl AwsOperator {
    fn commands(&self) -> ProjectCommands<'_> {
        ProjectCommands { log: &self.log, clock: &clock, random: &random }
    }

    /// Creates a project and its first key, which has all scopes.
    pub async fn create_project(
        &self,
        id: &ProjectId,
        name: Option<String>,
    ) -> Result<NewApiKey, AwsOperatorError> {
        let new = self.commands().create_project(id, name).await?;
        self.replicate(id).await;
        Ok(new)
    }

    /// Creates a further key of a project.
    pub async fn create_key(
        &self,
        id: &ProjectId,
        options: &NewKeyOptions,
    ) -> Result<NewApiKey, AwsOperatorError> {
        let new = self.commands().create_key(id, options).await?;
        self.replicate(id).await;
        Ok(new)
    }

    /// Revokes a key.
    pub async fn revoke_key(
        &self,
        id: &ProjectId,
        key_id: &KeyId,
        reason: Option<&str>,
    ) -> Result<Project, AwsOperatorError> {
        self.changed(self.commands().revoke_key(id, key_id, reason).await).await
    }

    /// Changes settings of a project. They hold for attempts that begin later.
    pub async fn update(
        &self,
        id: &ProjectId,
        changes: &ProjectChanges,
    ) -> Result<Project, AwsOperatorError> {
        self.changed(self.commands().update(id, changes).await).await
    }

    /// Suspends a project: the API refuses its requests until it is resumed.
    pub async fn suspend(&self, id: &ProjectId, reason: Option<&str>) -> Result<Project, AwsOperatorError> {
        self.changed(self.commands().suspend(id, reason).await).await
    }

    /// Resumes a suspended project.
    pub async fn resume(&self, id: &ProjectId) -> Result<Project, AwsOperatorError> {
        self.changed(self.commands().resume(id).await).await
    }

    /// Returns the current state of the project.
    pub async fn project(&self, id: &ProjectId) -> Result<Project, AwsOperatorError> {
        Ok(self.commands().project(id).await?)
    }

    /// Returns all projects, ordered by id. Reads the whole table of the log, which has no index of projects.
    pub async fn projects(&self) -> Result<Vec<Project>, AwsOperatorError> {
        let parts = (0..PARTS).filter_map(|index| Part::new(index, PARTS));
        let lists: Vec<Vec<Project>> = stream::iter(parts)
            .map(|part| self.projects_in(part))
            .buffer_unordered(PARTS as usize)
            .try_collect()
            .await?;
        let mut projects: Vec<Project> = lists.into_iter().flatten().collect();
        projects.sort_by(|a, b| a.project_id.cmp(&b.project_id));
        Ok(projects)
    }

    async fn projects_in(&self, part: Part) -> Result<Vec<Project>, AwsOperatorError> {
        let (mut list, mut after) = (ProjectList::default(), None);
        loop {
            let page = self.log.scan_streams(part, Some(PROJECT_STREAMS), after.as_deref(), PAGE).await?;
            for commit in page.commits {
                list.apply(&commit.map_err(ReadError::from)?)?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(list.into_projects());
            }
        }
    }

    async fn changed(&self, project: Result<Project, ProjectError>) -> Result<Project, AwsOperatorError> {
        let project = project?;
        self.replicate(&project.project_id).await;
        Ok(project)
    }

    /// Adds the project to the pending replications, which the sweep replicates to the edge. The function `views` does it from the ledger's
    /// stream, too; this makes it independent of a stream that is behind. The change is recorded in any case, so a failure is a warning.
    async fn replicate(&self, id: &ProjectId) {
        if let Err(error) = self.views.add(id, clock()).await {
            (self.warn)(&format!(
                "the keys of {id} reach the edge only by the ledger's stream: {}",
                chain(&error)
            ));
        }
    }
}

/// Random bytes of the operating system.
pub(super) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}
