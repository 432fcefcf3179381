//! The directory of tenants: which API key belongs to which project, folded from the projects' streams.

use std::collections::HashMap;

use streamio_events::api_key::KeyHash;
use streamio_events::commit::Commit;
use streamio_events::event::UnreadableEvent;
use streamio_events::id::{KeyId, ProjectId};
use streamio_events::project::{Key, Project};
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;

/// All projects and their keys.
#[derive(Debug, Default)]
pub struct TenantDirectory {
    projects: HashMap<ProjectId, Project>,
    owners: HashMap<KeyHash, (ProjectId, KeyId)>,
}

impl TenantDirectory {
    /// Applies a commit of the feed; those of other streams than projects' change nothing. Commits of one stream must
    /// come in order; a repeated one is passed over.
    pub fn apply(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        let StreamId::Project(project_id) = &commit.stream else { return Ok(()) };
        let project =
            self.projects.entry(project_id.clone()).or_insert_with(|| Project::new(project_id.clone()));
        project.apply_commit(commit)?;
        for (key_id, key) in &project.keys {
            self.owners.entry(key.hash).or_insert_with(|| (project_id.clone(), key_id.clone()));
        }
        Ok(())
    }

    /// The project and key of the API key whose hash this is.
    pub fn find(&self, hash: &KeyHash) -> Option<(&Project, &KeyId, &Key)> {
        let (project_id, key_id) = self.owners.get(hash)?;
        let project = self.projects.get(project_id)?;
        Some((project, key_id, project.keys.get(key_id)?))
    }
}

/// What an edge is told of a project's key.
pub fn tenant_of(project: &Project, key_id: &KeyId, key: &Key) -> Tenant {
    Tenant {
        project_id: project.project_id.clone(),
        key_id: key_id.clone(),
        scopes: key.scopes.clone(),
        expires_at: key.expires_at,
        revoked: key.revoked_at.is_some(),
        suspended: project.suspended,
        version: project.version,
    }
}

/// The records of all keys that a project ever had. Each tells of the project as well, and has the project's version: any
/// event of the project makes all of them new.
pub fn tenants_of(project: &Project) -> impl Iterator<Item = (KeyHash, Tenant)> {
    project.keys.iter().map(|(key_id, key)| (key.hash, tenant_of(project, key_id, key)))
}
