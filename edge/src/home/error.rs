use http::StatusCode;
use streamio_events::fact::InvalidFact;
use streamio_events::retryable::Retryable;

use crate::ports::outbound::OutboundError;
use crate::sign::sigv4::SigningError;

/// Why a call over HTTP failed. For the operator; it holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum HomeClientError {
    /// There was no response. A write may have happened.
    #[error("the home region did not respond")]
    NoResponse(#[source] OutboundError),
    /// The home region, or a service in front of it, is overloaded or failing. A write may have happened.
    #[error("the home region responded with {status}")]
    Unavailable {
        /// The HTTP status.
        status: StatusCode,
    },
    /// The call itself was refused: it is not signed correctly, or the builds of the two sides do not fit together.
    #[error("the home region refused the call with {status}: {reason}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The reason that the home region stated, if it did.
        reason: String,
    },
    /// The response does not belong to the call.
    #[error("the home region's response cannot be used: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The log would not accept the fact.
    #[error("the fact cannot be recorded")]
    Fact(#[source] InvalidFact),
    /// The present time cannot be put into a signature.
    #[error("the call could not be signed")]
    Signing(#[source] SigningError),
}

impl Retryable for HomeClientError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::NoResponse(_) | Self::Unavailable { .. } => true,
            Self::Refused { .. } | Self::Malformed { .. } | Self::Fact(_) | Self::Signing(_) => false,
        }
    }
}
