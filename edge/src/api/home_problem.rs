//! Errors of the home region as problems.

use streamio_events::home::HomeError;

use super::paging::invalid_cursor;
use crate::ports::Cause;
use crate::problem::{Problem, ProblemKind};
use crate::request::IDEMPOTENCY_KEY_HEADER;

/// The problem of a read that failed.
pub(super) fn of_read(error: HomeError) -> Problem {
    problem(error, "The view could not be read.")
}

/// The problem of a command that failed.
pub(super) fn of_command(error: HomeError) -> Problem {
    problem(
        error,
        "The command may not have been recorded; with the same Idempotency-Key it is not recorded twice.",
    )
}

/// The problem of a call about webhooks that failed.
pub(super) fn of_webhooks(error: HomeError) -> Problem {
    match error {
        HomeError::NotFound => Problem::new(ProblemKind::NoSuchWebhook, ProblemKind::NoSuchWebhook.advice()),
        HomeError::Conflict { text } => Problem::new(ProblemKind::WebhookConflict, text),
        other => of_command(other),
    }
}

/// The problem of a call about the transparency log that failed.
pub(super) fn of_audit(error: HomeError) -> Problem {
    match error {
        HomeError::NotFound => Problem::new(ProblemKind::NoSuchTile, ProblemKind::NoSuchTile.advice()),
        HomeError::Conflict { text } => Problem::new(ProblemKind::NoAuditLog, text),
        other => problem(other, "The audit log could not be read."),
    }
}

pub(super) fn no_such_video() -> Problem {
    Problem::new(ProblemKind::NoSuchVideo, ProblemKind::NoSuchVideo.advice())
}

/// The problem of an Idempotency-Key that was sent before with a different request.
pub(super) fn reused_key() -> Problem {
    Problem::at_field(
        ProblemKind::ReusedIdempotencyKey,
        IDEMPOTENCY_KEY_HEADER.as_str(),
        ProblemKind::ReusedIdempotencyKey.advice(),
    )
}

fn problem(error: HomeError, unavailable: &'static str) -> Problem {
    match error {
        HomeError::InvalidCursor => invalid_cursor(),
        HomeError::NotFound => no_such_video(),
        HomeError::Conflict { text } => Problem::new(ProblemKind::VideoConflict, text),
        HomeError::KeyReused => reused_key(),
        HomeError::Invalid { field, text } => Problem::at_field(ProblemKind::InvalidBody, &field, text),
        HomeError::Unavailable { .. } | HomeError::Failed { .. } => {
            Problem::unavailable(unavailable, Cause::from(error))
        }
    }
}
