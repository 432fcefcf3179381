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
    /// Applies a commit. Commits of other streams than project streams are ignored. Commits of one stream must be applied in
    /// order; a repeated commit is ignored.
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

    /// Returns the project and key of the API key with this hash.
    pub fn find(&self, hash: &KeyHash) -> Option<(&Project, &KeyId, &Key)> {
        let (project_id, key_id) = self.owners.get(hash)?;
        let project = self.projects.get(project_id)?;
        Some((project, key_id, project.keys.get(key_id)?))
    }
}

/// Returns the record of a project's key, as the edge reads it.
pub fn tenant_of(project: &Project, key_id: &KeyId, key: &Key) -> Tenant {
    Tenant {
        project_id: project.project_id.clone(),
        key_id: key_id.clone(),
        scopes: key.scopes.clone(),
        expires_at: key.expires_at,
        revoked: key.revoked_at.is_some(),
        suspended: project.suspended,
        measured: project.measured.clone(),
        version: project.version,
    }
}

/// Returns the records of all keys that a project ever had. Each record contains the project's state and version, so every
/// event of the project changes all of them.
pub fn tenants_of(project: &Project) -> impl Iterator<Item = (KeyHash, Tenant)> {
    project.keys.iter().map(|(key_id, key)| (key.hash, tenant_of(project, key_id, key)))
}
