//! What a party outside of the platform checks of a project's transparency log: with a checkpoint that it has kept and the log's public key.

mod checkpoints;
mod export;

use streamio_core::audit::checkpoint::{Checkpoint, CheckpointError};
use streamio_core::audit::note::{InvalidVerifierKey, VerifierKey};
use streamio_events::id::ProjectId;

pub use self::checkpoints::{CheckpointsError, Fork, Growth, TileSource, compare_checkpoints};
pub use self::export::{ExportCheck, ExportError, check_export};

/// The public key of a project's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    key: VerifierKey,
    project_id: ProjectId,
}

/// A text that is not the public key of a project's log.
#[derive(Debug, thiserror::Error)]
pub enum InvalidLogKey {
    /// It is no verifier key.
    #[error(transparent)]
    Key(#[from] InvalidVerifierKey),
    /// Its name is not that of a project's log.
    #[error("the name of the key is not the host and the project of a log: {0:?}")]
    Name(String),
}

impl std::str::FromStr for LogKey {
    type Err = InvalidLogKey;

    fn from_str(text: &str) -> Result<Self, InvalidLogKey> {
        let key: VerifierKey = text.trim().parse()?;
        let project_id = key.name().rsplit_once('/').and_then(|(_, project_id)| project_id.parse().ok());
        let project_id = project_id.ok_or_else(|| InvalidLogKey::Name(key.name().to_owned()))?;
        Ok(Self { key, project_id })
    }
}

impl LogKey {
    /// The project.
    pub fn project_id(&self) -> &ProjectId {
        &self.project_id
    }

    /// The checkpoint in a note, which the key has signed.
    fn verify(&self, note: &str) -> Result<Checkpoint, CheckpointError> {
        let note = note.parse().map_err(CheckpointError::from)?;
        Checkpoint::verify(&note, std::slice::from_ref(&self.key))
    }
}
