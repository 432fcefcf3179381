//! Going on with a transparency log whose checkpoint was lost.

use streamio_core::audit::integration::Integration;
use streamio_core::audit::recording::last_recorded;
use streamio_events::id::ProjectId;
use streamio_events::project::ProjectRefusal;

use super::super::error::OperatorError;
use super::super::handle::Operator;
use crate::audit_log::{self, AuditFiles, LogHashes};

const MISSING_KEYS: &str = "the key of the log is missing: restore secrets.json and audit.json from a backup";

impl Operator {
    /// Puts the last recorded checkpoint of a project in the place of one that is missing or older, if the commits have its root. Returns its
    /// size; `None` if the stored checkpoint is as new. No platform may run on the data directory.
    ///
    /// # Errors
    /// Also for a project that does not exist, and without the keys of the log.
    pub async fn recover_checkpoint(&self, project_id: &ProjectId) -> Result<Option<u64>, OperatorError> {
        let _lock = self.data_dir.lock()?;
        if self.log.nth_commit(project_id, 0).await?.is_none() {
            return Err(ProjectRefusal::NotFound(project_id.clone()).into());
        }
        let keys =
            audit_log::existing_keys(&self.data_dir).map_err(|error| OperatorError::Audit(error.into()))?;
        let keys = keys.ok_or_else(|| OperatorError::Audit(MISSING_KEYS.into()))?;
        let recorded = last_recorded(&self.log, project_id).await?;
        let feed = LogHashes { log: &self.log, project_id };
        let store = AuditFiles::new(self.data_dir.audit()).of(project_id);
        let signer = keys.signer(project_id);
        let integration =
            Integration { feed: &feed, store: &store, signer: &signer, recorded: recorded.as_ref() };
        Ok(integration.recover().await?)
    }
}
