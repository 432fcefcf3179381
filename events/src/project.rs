//! A project and its API keys, folded from the project's stream, and the decisions about them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api_key::KeyHash;
use crate::commit::Commit;
use crate::event::{
    EventBody, KeyCreated, KeyRevoked, ProjectCreated, ProjectMeasured, ProjectResumed, ProjectSuspended,
    ProjectUpdated, RecordedEvent, Scope, UnreadableEvent,
};
use crate::id::{KeyId, ProjectId};
use crate::job::MediaLimits;
use crate::limits::{Limit, MeasuredUse, OwnLimits};
use crate::timestamp::Timestamp;

/// A tenant, folded from its stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// The tenant.
    pub project_id: ProjectId,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it was created. All other commands require that.
    #[serde(skip)]
    pub exists: bool,
    /// Whether it may currently not use the API.
    pub suspended: bool,
    /// Whether a source of which a part is missing becomes a shorter video with a warning; `None`: as the deployment's limits say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_truncated: Option<bool>,
    /// Its own limits, which replace those of the deployment.
    #[serde(skip_serializing_if = "OwnLimits::is_empty")]
    pub limits: OwnLimits,
    /// What it had used of its limits when that was last recorded; `None` before.
    #[serde(skip)]
    pub measured: Option<MeasuredUse>,
    /// When it was created.
    pub created_at: Timestamp,
    /// All its keys, including expired and revoked ones.
    pub keys: BTreeMap<KeyId, Key>,
    /// The version that this was folded to; 0 before the first event.
    pub version: u64,
}

/// An API key, folded from the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// SHA-256 of the key.
    #[serde(skip)]
    pub hash: KeyHash,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Why a command on a project is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectRefusal {
    /// There is no such project.
    #[error("there is no project {0}")]
    NotFound(ProjectId),
    /// The project exists already.
    #[error("the project {0} exists already")]
    Exists(ProjectId),
    /// The project does not have this key.
    #[error("the project {project_id} has no key {key_id}")]
    NoSuchKey {
        /// The project.
        project_id: ProjectId,
        /// The requested key.
        key_id: KeyId,
    },
    /// A key needs at least one scope.
    #[error("a key needs at least one scope")]
    NoScopes,
}

/// Changes of a project's settings. Those that are `None` stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectChanges {
    /// A name for people.
    pub name: Option<String>,
    /// Whether a source of which a part is missing becomes a shorter video with a warning.
    pub allow_truncated: Option<bool>,
    /// Limits of the project's own by name ([`crate::limits::ProjectLimits::NAMES`]); `None`: as the deployment's from now on.
    pub limits: BTreeMap<&'static str, Option<Limit>>,
}

/// A key to create. The key itself is never recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewKey {
    /// SHA-256 of the key.
    pub hash: KeyHash,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// A name for people.
    pub label: Option<String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

impl Project {
    /// A project without events.
    pub fn new(project_id: ProjectId) -> Self {
        Self {
            project_id,
            name: None,
            exists: false,
            suspended: false,
            allow_truncated: None,
            limits: OwnLimits::default(),
            measured: None,
            created_at: Timestamp::default(),
            keys: BTreeMap::new(),
            version: 0,
        }
    }

    /// The project after all of `commits`, its stream from the beginning.
    pub fn fold<'a>(
        project_id: ProjectId,
        commits: impl IntoIterator<Item = &'a Commit>,
    ) -> Result<Self, UnreadableEvent> {
        let mut project = Self::new(project_id);
        for commit in commits {
            project.apply_commit(commit)?;
        }
        Ok(project)
    }

    /// Applies a commit of this stream. Events up to [`Project::version`] are skipped.
    pub fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        for (version, event) in commit.numbered() {
            if version > self.version {
                self.apply(event)?;
                self.version = version;
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: &RecordedEvent) -> Result<(), UnreadableEvent> {
        match event.body()? {
            EventBody::ProjectCreated(created) => {
                self.exists = true;
                self.name = created.name;
                self.created_at = event.at;
            }
            EventBody::ProjectUpdated(updated) => {
                self.name = updated.name.or(self.name.take());
                self.allow_truncated = updated.allow_truncated.or(self.allow_truncated);
                if let Some(limits) = updated.limits {
                    self.limits = limits;
                }
            }
            EventBody::ProjectMeasured(measured) => self.measured = Some(measured.used),
            EventBody::ProjectSuspended(_) => self.suspended = true,
            EventBody::ProjectResumed(_) => self.suspended = false,
            EventBody::KeyCreated(created) => {
                self.keys.entry(created.key_id).or_insert(Key {
                    hash: created.key_hash,
                    scopes: created.scopes,
                    label: created.label,
                    created_at: event.at,
                    expires_at: created.expires_at,
                    revoked_at: None,
                });
            }
            EventBody::KeyRevoked(revoked) => {
                if let Some(key) = self.keys.get_mut(&revoked.key_id) {
                    key.revoked_at.get_or_insert(event.at);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Creates the project with its first key.
    pub fn create(&self, name: Option<String>, key: NewKey) -> Result<Vec<EventBody>, ProjectRefusal> {
        if self.exists {
            return Err(ProjectRefusal::Exists(self.project_id.clone()));
        }
        Ok(vec![ProjectCreated { name }.into(), key_created(key)?])
    }

    /// Creates another key.
    pub fn create_key(&self, key: NewKey) -> Result<Vec<EventBody>, ProjectRefusal> {
        self.check_exists()?;
        Ok(vec![key_created(key)?])
    }

    /// Revokes the key; no events when it is revoked already.
    pub fn revoke_key(
        &self,
        key_id: &KeyId,
        reason: Option<String>,
    ) -> Result<Vec<EventBody>, ProjectRefusal> {
        self.check_exists()?;
        match self.keys.get(key_id) {
            None => {
                Err(ProjectRefusal::NoSuchKey { project_id: self.project_id.clone(), key_id: key_id.clone() })
            }
            Some(key) if key.revoked_at.is_some() => Ok(vec![]),
            Some(_) => Ok(vec![KeyRevoked { key_id: key_id.clone(), reason }.into()]),
        }
    }

    /// Changes settings; no events when none of them changes.
    pub fn update(&self, changes: ProjectChanges) -> Result<Vec<EventBody>, ProjectRefusal> {
        self.check_exists()?;
        let mut limits = self.limits.clone();
        for (name, limit) in changes.limits {
            if let Some(own) = limits.by_name(name) {
                *own = limit;
            }
        }
        let updated = ProjectUpdated {
            name: changes.name.filter(|name| self.name.as_ref() != Some(name)),
            allow_truncated: changes.allow_truncated.filter(|allowed| self.allow_truncated != Some(*allowed)),
            limits: (limits != self.limits).then_some(limits),
        };
        let changes_nothing = ProjectUpdated { name: None, allow_truncated: None, limits: None };
        Ok(if updated == changes_nothing { vec![] } else { vec![updated.into()] })
    }

    /// Records what the project has used of its limits; no events when that is not news. `exactly`: also if it is only a little more.
    pub fn measure(&self, used: MeasuredUse, exactly: bool) -> Option<EventBody> {
        let is_news = self.exists && used.is_news_after(self.measured.as_ref(), exactly);
        is_news.then(|| ProjectMeasured { used }.into())
    }

    /// The limits on the project's sources: those of the deployment, with the project's own settings.
    pub fn media_limits(&self, of_deployment: &MediaLimits) -> MediaLimits {
        let allow_truncated = self.allow_truncated.unwrap_or(of_deployment.allow_truncated);
        MediaLimits { allow_truncated, ..of_deployment.clone() }
    }

    /// Suspends the project; no events when it is suspended already.
    pub fn suspend(&self, reason: Option<String>) -> Result<Vec<EventBody>, ProjectRefusal> {
        self.check_exists()?;
        Ok(if self.suspended { vec![] } else { vec![ProjectSuspended { reason }.into()] })
    }

    /// Resumes the project; no events when it is not suspended.
    pub fn resume(&self) -> Result<Vec<EventBody>, ProjectRefusal> {
        self.check_exists()?;
        Ok(if self.suspended { vec![ProjectResumed {}.into()] } else { vec![] })
    }

    fn check_exists(&self) -> Result<(), ProjectRefusal> {
        if self.exists { Ok(()) } else { Err(ProjectRefusal::NotFound(self.project_id.clone())) }
    }
}

fn key_created(key: NewKey) -> Result<EventBody, ProjectRefusal> {
    if key.scopes.is_empty() {
        return Err(ProjectRefusal::NoScopes);
    }
    Ok(KeyCreated {
        key_id: key.hash.key_id(),
        key_hash: key.hash,
        scopes: key.scopes,
        label: key.label,
        expires_at: key.expires_at,
    }
    .into())
}
