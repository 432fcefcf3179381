//! Verifying the transparency logs: the trees and checkpoints against the commits.

mod project;
mod recorded;
mod recovery;

use std::collections::BTreeSet;

use serde::Serialize;
use streamio_core::operator::Verification;
use streamio_events::id::ProjectId;

use self::project::ProjectAudit;
use super::error::OperatorError;
use super::handle::Operator;
use crate::audit_log::{self, AuditFiles};

/// The result of a verification with the transparency logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditVerification {
    /// The hash chains.
    #[serde(flatten)]
    pub chains: Verification,
    /// The number of projects whose commits were compared with a checkpoint.
    pub checkpoints: u64,
    /// The number of commits that these checkpoints are of, and whose root they have.
    pub proven: u64,
    /// The number of commits that no checkpoint has yet.
    pub unsigned: u64,
    /// What is wrong with the places of commits, the trees and the checkpoints.
    pub audit_findings: Vec<String>,
    /// What is to be known and not wrong.
    pub notes: Vec<String>,
}

impl Operator {
    /// Verifies the hash chains, the places of commits, and their trees with the signed checkpoints, stored and recorded: of all projects, or of
    /// one. Calls `progress` as [`Operator::verify`] does. A platform may run on the data directory. `found` has what was found also if an
    /// error ends the verification; an error of one project does not keep the others from being verified.
    pub async fn verify_audit(
        &self,
        project_id: Option<&ProjectId>,
        progress: impl FnMut(u64, u64),
        found: &mut AuditVerification,
    ) -> Result<(), OperatorError> {
        self.verify_scope(project_id, progress, &mut found.chains).await?;
        let keys = match audit_log::existing_keys(&self.data_dir) {
            Ok(keys) => keys,
            Err(error) => {
                found.audit_findings.push(format!("the keys of the audit log cannot be used: {error:#}"));
                None
            }
        };
        let files = AuditFiles::new(self.data_dir.audit());
        let mut result = Ok(());
        for each in self.projects_to_verify(project_id, &files).await? {
            let audit = ProjectAudit {
                log: &self.log,
                project_id: &each,
                files: &files.of(&each),
                keys: keys.as_ref(),
                // The verification of the whole log has verified all places.
                with_places: project_id.is_some(),
            };
            result = result.and(audit.verify(found).await);
        }
        result
    }

    /// The projects that have commits or a tree.
    async fn projects_to_verify(
        &self,
        only: Option<&ProjectId>,
        files: &AuditFiles,
    ) -> Result<BTreeSet<ProjectId>, OperatorError> {
        if let Some(only) = only {
            return Ok(BTreeSet::from([only.clone()]));
        }
        let (projects, _) = self.log.projects_after(0).await?;
        Ok(projects.into_iter().chain(files.projects().map_err(OperatorError::Audit)?).collect())
    }
}

#[cfg(test)]
mod tests;
