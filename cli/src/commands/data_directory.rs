//! Opens a platform's data directory for the operator's commands, and maps its errors to failures.

use streamio_events::project::ProjectRefusal;
use streamio_local::operator::{IfMissing, Operator, OperatorError};
use streamio_local::s3::StoreError;

use crate::args::DataDirectory;
use crate::exit::{Exit, Failure};
use crate::permissions::data_directory_failure;

/// Opens the data directory named by the arguments.
pub(super) fn open(data: &DataDirectory, if_missing: IfMissing) -> Result<Operator, Failure> {
    Operator::open(&data.path, if_missing)
        .map_err(|error| data_directory_failure(&data.path).unwrap_or_else(|| failure(error)))
}

/// The failure for an operator's error, with its exit code and what to do.
pub(super) fn failure(error: OperatorError) -> Failure {
    let message = error_chain(&error);
    match error {
        OperatorError::NoData(_) => Failure::new(
            Exit::NotFound,
            message,
            "name the platform's directory with --data; `streamio up` or `streamio project create` creates one",
        ),
        OperatorError::Refused(ProjectRefusal::NotFound(_)) => {
            Failure::new(Exit::NotFound, message, "list the projects with `streamio project list`")
        }
        OperatorError::Refused(ProjectRefusal::NoSuchKey { project_id, .. }) => Failure::new(
            Exit::NotFound,
            message,
            format!("list the keys with `streamio key list {project_id}`"),
        ),
        OperatorError::Refused(ProjectRefusal::Exists(id)) => Failure::new(
            Exit::Failed,
            message,
            format!("choose another name, or create a key with `streamio key create {id}`"),
        ),
        OperatorError::Refused(ProjectRefusal::NoScopes) => {
            Failure::usage(message, "name at least one with --scope")
        }
        OperatorError::Append(_) | OperatorError::Read(_) | OperatorError::Changes(_) => Failure::new(
            Exit::Unavailable,
            message,
            "check the disk and the permissions of the data directory, then try again",
        ),
        OperatorError::Chain(_) => Failure::new(
            Exit::Failed,
            message,
            "`streamio events verify` lists all damaged streams; restore a backup with `streamio restore`",
        ),
        OperatorError::NoStore(_) => {
            Failure::new(Exit::NotFound, message, "if it was lost, restore a backup with `streamio restore`")
        }
        OperatorError::Store(StoreError::InUse { .. }) => {
            Failure::new(Exit::Failed, message, "the platform runs on the data directory")
        }
        OperatorError::DataDir(_)
        | OperatorError::Open(_)
        | OperatorError::Store(_)
        | OperatorError::Unreadable(_)
        | OperatorError::Audit(_)
        | OperatorError::Write(_) => Failure::new(Exit::Failed, message, ""),
    }
}

/// An error and its causes, joined by colons.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
