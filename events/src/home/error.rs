use std::error::Error;

use super::ReplyError;
use crate::retryable::Retryable;

/// Why a call to the home region was not done. Sources are for the operator; they hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// `after` is not a cursor of this list.
    #[error("not a cursor of this list")]
    InvalidCursor,
    /// The project does not have what the call is about.
    #[error("the project has no such video or webhook")]
    NotFound,
    /// The video's state does not allow the command.
    #[error("{text}")]
    Conflict {
        /// A sentence for the tenant: why not, and what to do.
        text: String,
    },
    /// The command was recorded before under the same id, with other parameters. Nothing was changed.
    #[error("the id of the command is that of another command")]
    KeyReused,
    /// A value of the call is not valid.
    #[error("{field} {text}")]
    Invalid {
        /// The field of the request.
        field: String,
        /// What is wrong and what to do, as the rest of a sentence that begins with the field.
        text: String,
    },
    /// The log, a view or the connection failed. A write may have happened; the same call may be made again.
    #[error("the home region is not available")]
    Unavailable {
        /// What failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The same call will fail again until an operator acts: unreadable data, a refused signature, builds that do not fit
    /// together.
    #[error("the home region cannot serve the call")]
    Failed {
        /// What is wrong.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl HomeError {
    /// [`Self::Unavailable`] or [`Self::Failed`], depending on whether `source` may pass.
    pub fn because_of(source: impl Retryable) -> Self {
        if source.is_retryable() {
            Self::Unavailable { source: source.into() }
        } else {
            Self::Failed { source: source.into() }
        }
    }

    /// The error as a caller over the wire sees it: without its source.
    pub fn to_reply(&self) -> ReplyError {
        match self {
            Self::InvalidCursor => ReplyError::InvalidCursor,
            Self::NotFound => ReplyError::NotFound,
            Self::Conflict { text } => ReplyError::Conflict { text: text.clone() },
            Self::KeyReused => ReplyError::KeyReused,
            Self::Invalid { field, text } => ReplyError::Invalid { field: field.clone(), text: text.clone() },
            Self::Unavailable { .. } | Self::Failed { .. } => ReplyError::Unavailable,
        }
    }
}

impl Retryable for HomeError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
