//! The errors of the operator's actions.

use std::io;
use std::path::PathBuf;

use streamio_core::audit::integration::IntegrationError;
use streamio_core::audit::recording::RecordingError;
use streamio_core::operator::ProjectError;
use streamio_core::ports::AdapterError;
use streamio_events::event::UnreadableEvent;
use streamio_events::log::{AppendError, ChangesError, ReadError};
use streamio_events::project::ProjectRefusal;
use streamio_events::sqlite::OpenError;

use crate::data_dir::DataDirError;
use crate::export::ExportError;
use crate::replay::ReplayError;
use crate::s3::StoreError;

/// Why an operator's action failed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The directory is not a data directory.
    #[error("{0} holds no platform's data")]
    NoData(PathBuf),
    /// There is a log and no object store.
    #[error("{0} has no object store: no platform has run there yet, or the directory s3 was lost")]
    NoStore(PathBuf),
    /// The directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The state of the project or key does not allow the action.
    #[error(transparent)]
    Refused(#[from] ProjectRefusal),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log's changes cannot be read.
    #[error(transparent)]
    Changes(#[from] ChangesError),
    /// The events cannot be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The project's events are damaged or have a newer version.
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
    /// The object store cannot be checked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files of the transparency log cannot be read.
    #[error("the files of the audit log cannot be read")]
    Audit(#[source] AdapterError),
    /// The recorded checkpoints cannot be read.
    #[error(transparent)]
    Recorded(#[from] RecordingError),
    /// The checkpoint of a transparency log cannot be recovered.
    #[error("the checkpoint cannot be recovered; nothing was changed")]
    Recovery(#[from] IntegrationError),
    /// The views cannot be read.
    #[error("the views cannot be read")]
    Views(#[source] AdapterError),
    /// No platform does what was asked for.
    #[error("no platform runs on {0}, which would handle the dead letter again")]
    NotRunning(PathBuf),
    /// The log cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A view cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The output cannot be written.
    #[error("the events cannot be written")]
    Write(#[source] io::Error),
}

impl From<ProjectError> for OperatorError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Refused(error) => error.into(),
            ProjectError::Read(error) => error.into(),
            ProjectError::Append(error) => error.into(),
            ProjectError::Unreadable(error) => error.into(),
        }
    }
}
