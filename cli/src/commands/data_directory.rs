//! Opens a platform's data directory for the operator's commands, and maps its errors to failures.

use streamio_events::project::ProjectRefusal;
use streamio_local::export::ExportError;
use streamio_local::operator::{IfMissing, Operator, OperatorError};
use streamio_local::replay::ReplayError;
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
        OperatorError::Refused(refusal) => refused(&refusal, message, ""),
        OperatorError::NotRunning(_) => {
            Failure::new(Exit::Unavailable, message, "start it with `streamio up`, then try again")
        }
        OperatorError::Append(_)
        | OperatorError::Read(_)
        | OperatorError::Changes(_)
        | OperatorError::Export(ExportError::Read(_))
        | OperatorError::Replay(ReplayError::Read(_)) => Failure::new(
            Exit::Unavailable,
            message,
            "check the disk and the permissions of the data directory, then try again",
        ),
        OperatorError::Recovery(_) => Failure::new(
            Exit::Failed,
            message,
            "find out by `streamio audit verify` what was changed; restore a backup with `streamio restore`",
        ),
        OperatorError::Export(ExportError::Damaged(_)) => Failure::new(
            Exit::Failed,
            message,
            "`streamio events verify` lists all damaged streams; restore a backup with `streamio restore`",
        ),
        OperatorError::Export(ExportError::Stopped) => Failure::new(Exit::Interrupted, message, ""),
        OperatorError::NoStore(_) => {
            Failure::new(Exit::NotFound, message, "if it was lost, restore a backup with `streamio restore`")
        }
        OperatorError::Store(StoreError::InUse { .. }) => {
            Failure::new(Exit::Failed, message, "the platform runs on the data directory")
        }
        OperatorError::Replay(ReplayError::Stopped) => Failure::new(
            Exit::Interrupted,
            message,
            "the live view is as it was; or, with --swap, some of the rows that differ are replaced, which the same command continues",
        ),
        OperatorError::Replay(ReplayError::NoViews(_)) => Failure::new(
            Exit::NotFound,
            message,
            "start the platform, which makes them from the log, or name a file with --into",
        ),
        OperatorError::Replay(ReplayError::Exists(_)) => {
            Failure::new(Exit::Failed, message, "name a file with --into that does not exist")
        }
        OperatorError::Replay(ReplayError::Replaced | ReplayError::InUse) => {
            Failure::new(Exit::Unavailable, message, "try again when it is over")
        }
        OperatorError::Replay(ReplayError::Database { .. }) => Failure::new(
            Exit::Failed,
            message,
            "if the live view is damaged, restart the platform, which makes it again from the log",
        ),
        OperatorError::Export(ExportError::OtherContent(_) | ExportError::Write(_))
        | OperatorError::Replay(ReplayError::Io { .. })
        | OperatorError::DataDir(_)
        | OperatorError::Open(_)
        | OperatorError::Store(_)
        | OperatorError::Unreadable(_)
        | OperatorError::Audit(_)
        | OperatorError::Recorded(_)
        | OperatorError::Views(_)
        | OperatorError::Write(_) => Failure::new(Exit::Failed, message, ""),
    }
}

/// The failure for a refused command on a project. `options` are those of the commands in the hint.
pub(super) fn refused(refusal: &ProjectRefusal, message: String, options: &str) -> Failure {
    match refusal {
        ProjectRefusal::NotFound(_) => {
            let hint = format!("list the projects with `streamio project list{options}`");
            Failure::new(Exit::NotFound, message, hint)
        }
        ProjectRefusal::NoSuchKey { project_id, .. } => {
            let hint = format!("list the keys with `streamio key list {project_id}{options}`");
            Failure::new(Exit::NotFound, message, hint)
        }
        ProjectRefusal::Exists(id) => Failure::new(
            Exit::Failed,
            message,
            format!("choose another name, or create a key with `streamio key create {id}{options}`"),
        ),
        ProjectRefusal::NoScopes => Failure::usage(message, "name at least one with --scope"),
    }
}

/// An error and its causes, joined by colons.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
