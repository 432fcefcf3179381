//! Why nobody could say whose an API key is.

use std::error::Error;
use std::fmt;

use streamio_events::error_chain::chain;

use super::cache::Outdated;
use super::source::SourceName;
use crate::port::Cause;

/// A source gave no answer that can be used.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) source: SourceName,
    pub(super) reason: Reason,
}

/// Why not.
#[derive(Debug)]
pub(super) enum Reason {
    Failed(Cause),
    Missing,
    OtherKey,
    Outdated(Outdated),
    Limited,
}

impl fmt::Display for Silence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.source)?;
        match &self.reason {
            Reason::Failed(_) => formatter.write_str("failed"),
            Reason::Missing => formatter.write_str("has no such key"),
            Reason::OtherKey => formatter.write_str("answered with the tenant of another key"),
            Reason::Outdated(outdated) => outdated.fmt(formatter),
            Reason::Limited => {
                formatter.write_str("is not asked: this isolate has used up its calls (`directory.home`)")
            }
        }
    }
}

impl Error for Silence {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            Reason::Failed(cause) => Some(&**cause),
            _ => None,
        }
    }
}

/// Neither source could be relied on. The home region's reason is the source of this error; the key-value store's, which
/// came before, is part of the message with all that is behind it.
#[derive(Debug, thiserror::Error)]
#[error("the API key could not be confirmed; {}", chain(store))]
pub(super) struct Unconfirmed {
    pub(super) store: Silence,
    #[source]
    pub(super) home: Silence,
}

/// Asking failed a moment ago.
#[derive(Debug, thiserror::Error)]
#[error(
    "the API key could not be confirmed a moment ago, and is asked about again at most once a `directory.retry`"
)]
pub(super) struct FailedBefore;
