//! Faults of a request body and their S3 errors.

use s3s::{S3Error, S3ErrorCode, s3_error};

use super::limits::MAX_SIGNED_CHUNK_BYTES;
use crate::http_server::BodyError;
use crate::s3::refusal::Refusal;

/// A fault of a request body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::s3) enum BodyFault {
    #[error("the body ended before it was complete")]
    Truncated,
    #[error("{}", BodyError::TooSlow)]
    TooSlow,
    #[error("the body is not in the aws-chunked encoding that x-amz-content-sha256 declares")]
    Framing,
    #[error("a signed chunk is larger than {MAX_SIGNED_CHUNK_BYTES} bytes; send smaller chunks")]
    ChunkTooLarge,
    #[error("the SHA-256 of the body is not the one in x-amz-content-sha256")]
    Sha256 { expected: String, calculated: String },
    #[error("the {header} of the request does not match the body")]
    Digest { header: &'static str, expected: String, calculated: String },
}

impl BodyFault {
    /// Whether the body was received incompletely or in the wrong encoding, as opposed to with the wrong content.
    pub(in crate::s3) fn is_transport(&self) -> bool {
        !matches!(self, Self::Sha256 { .. } | Self::Digest { .. })
    }

    pub(in crate::s3) fn to_refusal(&self) -> Refusal {
        let mut error = match self {
            Self::Truncated | Self::Framing => s3_error!(IncompleteBody),
            Self::TooSlow => s3_error!(RequestTimeout),
            Self::ChunkTooLarge => s3_error!(InvalidRequest),
            Self::Sha256 { .. } => {
                let mut error = S3Error::new(S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()));
                error.set_status_code(http::StatusCode::BAD_REQUEST);
                error
            }
            Self::Digest { .. } => s3_error!(BadDigest),
        };
        error.set_message(self.to_string());
        let details = match self {
            Self::Sha256 { expected, calculated } => vec![
                ("ClientComputedContentSHA256", expected.clone()),
                ("S3ComputedContentSHA256", calculated.clone()),
            ],
            Self::Digest { expected, calculated, .. } => {
                vec![("ExpectedDigest", expected.clone()), ("CalculatedDigest", calculated.clone())]
            }
            Self::Truncated | Self::TooSlow | Self::Framing | Self::ChunkTooLarge => Vec::new(),
        };
        Refusal { error, details }
    }
}
