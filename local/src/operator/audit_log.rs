//! Verifying the transparency logs: the trees and checkpoints against the commits.

use std::collections::BTreeSet;

use serde::Serialize;
use streamio_core::audit::checkpoint::Checkpoint;
use streamio_core::audit::comparison::{Comparison, Finding};
use streamio_core::audit::keys::AuditKeys;
use streamio_core::audit::note::SignedNote;
use streamio_core::audit::tiles::Tile;
use streamio_core::ports::AdapterError;
use streamio_core::ports::tile_reader::TileReader as _;
use streamio_core::ports::tile_store::TileStore as _;
use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use streamio_events::log::ReadError;

use super::error::OperatorError;
use super::handle::Operator;
use super::verify::Verification;
use crate::audit_log::{self, AuditFiles, ProjectFiles};

/// How many hashes are read at a time.
const PAGE: usize = 16 * 1024;

/// The result of a verification with the transparency logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditVerification {
    /// The hash chains.
    #[serde(flatten)]
    pub chains: Verification,
    /// The number of projects whose commits were compared with a checkpoint.
    pub checkpoints: u64,
    /// The number of commits that these checkpoints are of.
    pub proven: u64,
    /// What is wrong with the places of commits, the trees and the checkpoints.
    pub audit_findings: Vec<String>,
}

impl Operator {
    /// Verifies the hash chains, the places of commits, and their trees with the signed checkpoints: of all projects, or of one. Calls
    /// `progress` as [`Operator::verify`] does. A platform may run on the data directory.
    pub async fn verify_audit(
        &self,
        project_id: Option<&ProjectId>,
        progress: impl FnMut(u64, u64),
    ) -> Result<AuditVerification, OperatorError> {
        let chains = self.verify_scope(project_id, progress).await?;
        let mut verification = AuditVerification { chains, ..AuditVerification::default() };
        let keys = match audit_log::existing_keys(&self.data_dir) {
            Ok(keys) => keys,
            Err(error) => {
                verification
                    .audit_findings
                    .push(format!("the keys of the audit log cannot be used: {error:#}"));
                None
            }
        };
        let files = AuditFiles::new(self.data_dir.audit());
        for project_id in self.projects_to_verify(project_id, &files).await? {
            self.verify_project(&project_id, &files.of(&project_id), keys.as_ref(), &mut verification)
                .await?;
        }
        Ok(verification)
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

    async fn verify_project(
        &self,
        project_id: &ProjectId,
        files: &ProjectFiles,
        keys: Option<&AuditKeys>,
        verification: &mut AuditVerification,
    ) -> Result<(), OperatorError> {
        let mut report =
            |finding: String| verification.audit_findings.push(format!("{project_id}: {finding}"));
        // Read first: the log and the tree may grow meanwhile.
        let checkpoint = match self.checkpoint(project_id, files, keys).await? {
            Ok(checkpoint) => checkpoint,
            Err(finding) => {
                report(finding);
                None
            }
        };
        let mut comparison = checkpoint.as_ref().map(|checkpoint| Comparison::new(files, checkpoint));
        let mut place = 0;
        loop {
            let hashes = match self.log.hashes_of_project(project_id, place, PAGE).await {
                Ok(hashes) => hashes,
                Err(ReadError::Damaged { reason, .. }) => {
                    report(reason);
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            if hashes.is_empty() {
                break;
            }
            place += hashes.len() as u64;
            for hash in hashes {
                if let Some(comparison) = &mut comparison {
                    comparison.follow(hash).await.map_err(|error| OperatorError::Audit(error.into()))?;
                }
            }
        }
        let Some((comparison, checkpoint)) = comparison.zip(checkpoint.as_ref()) else { return Ok(()) };
        for finding in comparison.finish().await.map_err(|error| OperatorError::Audit(error.into()))? {
            let named = match finding {
                Finding::Commit { leaf, .. } => self.named(project_id, leaf).await?,
                _ => String::new(),
            };
            report(format!("{finding}{named}"));
        }
        for finding in other_tiles(files, checkpoint).await.map_err(OperatorError::Audit)? {
            report(finding);
        }
        verification.checkpoints += 1;
        verification.proven += checkpoint.size();
        Ok(())
    }

    /// The verified checkpoint of the project; `None` if it has neither one nor a tree. A checkpoint that cannot be used is a finding.
    async fn checkpoint(
        &self,
        project_id: &ProjectId,
        files: &ProjectFiles,
        keys: Option<&AuditKeys>,
    ) -> Result<Result<Option<Checkpoint>, String>, OperatorError> {
        let note = match files.checkpoint().await {
            Ok(note) => note,
            Err(error) => return Ok(Err(format!("the checkpoint cannot be read: {}", chain(&*error)))),
        };
        let Some(note) = note else {
            let has_tiles = !files.paths().map_err(|error| OperatorError::Audit(error.into()))?.is_empty();
            let missing = "the checkpoint is missing, and there are tiles: restore it from a backup, or start the platform if it is new";
            return Ok(if has_tiles { Err(missing.to_owned()) } else { Ok(None) });
        };
        let Some(keys) = keys else {
            return Ok(Err("there is a checkpoint, but the key of the log is missing: restore secrets.json and audit.json".to_owned()));
        };
        let signer = keys.signer(project_id);
        let verified = note.parse::<SignedNote>().map_err(|error| error.to_string()).and_then(|note| {
            Checkpoint::verify(&note, std::slice::from_ref(signer.verifier_key()))
                .map_err(|error| error.to_string())
        });
        Ok(verified.map(Some).map_err(|reason| format!("the checkpoint was changed: {reason}")))
    }

    /// Names the commit that is now at a place of the project.
    async fn named(&self, project_id: &ProjectId, place: u64) -> Result<String, OperatorError> {
        Ok(match self.log.commit_at(project_id, place).await? {
            Some((stream, version)) => format!(". It is version {version} of {stream} now"),
            None => String::new(),
        })
    }
}

/// Verifies the stored files that the comparison of the tree does not read: earlier partial tiles, which must be the beginning of the present
/// one, and files that are no tiles. Tiles of a larger tree than the checkpoint's are left to the next one.
async fn other_tiles(files: &ProjectFiles, checkpoint: &Checkpoint) -> Result<Vec<String>, AdapterError> {
    let mut findings = Vec::new();
    for path in files.paths()? {
        let Ok(tile) = path.parse::<Tile>() else {
            findings.push(format!("{path} is not a tile: it was added"));
            continue;
        };
        let Some(present) = Tile::in_tree(tile.kind(), tile.index(), checkpoint.size()) else { continue };
        if tile.width() >= present.width() {
            continue;
        }
        let whole = match files.read(&present).await? {
            Some(whole) => Some(whole),
            None => files.read(&present.full()).await?,
        };
        let (Some(whole), Some(stored)) = (whole, files.read(&tile).await?) else { continue };
        if whole.get(..tile.bytes()) != Some(&stored[..]) {
            findings.push(format!("{tile} is damaged: it is not the beginning of {present}"));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests;
