//! Why an API key could not be confirmed.

use std::error::Error;
use std::fmt;

use streamio_events::error_chain::chain;

use super::cache::Outdated;
use crate::ports::Cause;
use crate::ports::tenant_source::SourceName;

/// A source returned no usable record.
#[derive(Debug)]
pub(super) struct SourceError {
    pub(super) source: SourceName,
    pub(super) reason: Reason,
}

/// Why a source returned no usable record.
#[derive(Debug)]
pub(super) enum Reason {
    Failed(Cause),
    Missing,
    OtherKey,
    Outdated(Outdated),
    Limited,
}

impl fmt::Display for SourceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.source)?;
        match &self.reason {
            Reason::Failed(_) => formatter.write_str("failed"),
            Reason::Missing => formatter.write_str("does not have the key"),
            Reason::OtherKey => formatter.write_str("returned the tenant of another key"),
            Reason::Outdated(outdated) => outdated.fmt(formatter),
            Reason::Limited => {
                formatter.write_str("was not called: this isolate has used up its calls (`directory.home`)")
            }
        }
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            Reason::Failed(cause) => Some(&**cause),
            _ => None,
        }
    }
}

/// Neither source confirmed the key. The home region's error is the source of this one; the key-value store's error, which
/// occurred first, is in the message with all its sources.
#[derive(Debug, thiserror::Error)]
#[error("the API key could not be confirmed; {}", chain(store))]
pub(super) struct Unconfirmed {
    pub(super) store: SourceError,
    #[source]
    pub(super) home: SourceError,
}

/// No source was called, because a refresh failed within `directory.retry`.
#[derive(Debug, thiserror::Error)]
#[error("the API key could not be confirmed a moment ago; the sources are called once per `directory.retry`")]
pub(super) struct RecentlyFailed;
