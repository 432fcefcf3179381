use http::StatusCode;

use crate::outbound::OutboundError;
use crate::sign::sigv4::SigningError;

/// Why the home region did not do what it was asked. For the operator; it holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum HomeClientError {
    /// Nothing came back, twice. What was to be written may have been.
    #[error("the home region did not answer")]
    NoAnswer(#[source] OutboundError),
    /// It, or what is in front of it, answered that it cannot now. What was to be written may have been.
    #[error("the home region is not available: it answered {status}")]
    Unavailable {
        /// The HTTP status.
        status: StatusCode,
    },
    /// It refused the call itself: it is not signed as it must be, or the two sides are of builds that do not fit.
    #[error("the home region refused the call with {status}: {reason}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The home region's own words, or how else the answer looked.
        reason: String,
    },
    /// What came back is not an answer to the call.
    #[error("the home region's answer cannot be used: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The fact is none that the log would take. The same fact will never be.
    #[error("the fact cannot be recorded")]
    Fact(#[source] streamio_events::fact::InvalidFact),
    /// The time is none that a signature can hold.
    #[error("the call could not be signed")]
    Signing(#[source] SigningError),
}
