//! The settings of a project that reactions to its videos need.

use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use streamio_events::job::MediaLimits;
use streamio_events::limits::Limit;
use streamio_events::retryable::Retryable as _;

use crate::fold_cache::FoldError;
use crate::reactions::react::Ports;

/// The settings of a project.
#[derive(Debug, Clone)]
pub(super) struct ProjectSettings {
    /// Limits on accepted sources.
    pub(super) media_limits: MediaLimits,
    /// How many attempts may run at the same time.
    pub(super) concurrent_encodes: Limit,
}

impl ProjectSettings {
    /// Reads the settings of a project, or those of the deployment where it has none.
    ///
    /// A project whose events cannot be understood has the deployment's settings: an accepted upload is processed nevertheless.
    pub(super) async fn read(ports: Ports<'_>, project_id: &ProjectId) -> Result<Self, FoldError> {
        let (limits, project_limits) = (&ports.policy.limits, &ports.policy.project_limits);
        match ports.projects.current(ports.log, project_id).await {
            Ok(project) => Ok(Self {
                media_limits: project.media_limits(limits),
                concurrent_encodes: project_limits.with(&project.limits).concurrent_encodes,
            }),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                tracing::warn!(%project_id, error = chain(&error), "the project's settings cannot be understood; those of the deployment are used");
                Ok(Self {
                    media_limits: limits.clone(),
                    concurrent_encodes: project_limits.concurrent_encodes,
                })
            }
        }
    }
}
