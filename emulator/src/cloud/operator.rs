//! Operations of an operator: creating projects and revoking keys.

use std::time::Duration;

use anyhow::{Context as _, bail};
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::Scope;
use streamio_events::id::{CommitId, ProjectId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::project::{self, Project};
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;

use super::Cloud;
use crate::request_id::request_id;
use crate::wall_clock;

/// The timeout for the replication of a key to the edge.
const REPLICATION_TIMEOUT: Duration = Duration::from_secs(30);

/// A new API key of a project. The log contains only its hash.
#[derive(Clone)]
pub struct NewKey {
    /// The project.
    pub project_id: ProjectId,
    /// The key.
    pub api_key: ApiKey,
}

impl Cloud {
    /// Creates a project with a key that has all scopes, and waits until the key is replicated to the edge.
    pub async fn create_project(&self, id: &str) -> anyhow::Result<NewKey> {
        let project_id: ProjectId = id.parse()?;
        let stream = StreamId::Project(project_id.clone());
        let project = Project::fold(project_id.clone(), &self.log.read_to_end(&stream, 1).await?)?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        let api_key = ApiKey::generate("live", random)?;
        let key = project::NewKey {
            hash: api_key.hash(),
            scopes: vec![Scope::Upload, Scope::Playback, Scope::Read, Scope::Admin],
            label: Some("first key".to_owned()),
            expires_at: None,
        };
        let events = project.create(None, key)?;
        let cause = CommitId::derived_from(&["operator", "create project", &request_id()]);
        let commit = NewCommit::new(cause, wall_clock::now(), events);
        self.log.append(&stream, Expected::Exactly(project.version), commit).await?;
        self.wait_until_replicated(&api_key).await.context("the new key was not replicated to the edge")?;
        Ok(NewKey { project_id, api_key })
    }

    /// Revokes the key. The replication to the edge follows asynchronously.
    pub async fn revoke_key(&self, key: &NewKey) -> anyhow::Result<()> {
        let stream = StreamId::Project(key.project_id.clone());
        let project = Project::fold(key.project_id.clone(), &self.log.read_to_end(&stream, 1).await?)?;
        let events = project.revoke_key(&key.api_key.hash().key_id(), None)?;
        let cause = CommitId::derived_from(&["operator", "revoke key", &request_id()]);
        let commit = NewCommit::new(cause, wall_clock::now(), events);
        self.log.append(&stream, Expected::Exactly(project.version), commit).await?;
        Ok(())
    }

    async fn wait_until_replicated(&self, api_key: &ApiKey) -> anyhow::Result<()> {
        let name = Tenant::stored_name(&api_key.hash());
        let begun = tokio::time::Instant::now();
        while !self.kv.values().contains_key(&name) {
            if begun.elapsed() > REPLICATION_TIMEOUT {
                let logs = ["views", "sweep"].map(|name| {
                    let lines = self.functions.log_lines(name).unwrap_or_default();
                    format!("the log of the function `{name}`: {}", lines.join("\n"))
                });
                bail!("{}", logs.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
