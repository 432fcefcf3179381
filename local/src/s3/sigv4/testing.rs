//! The check of signatures, for fuzzing.

use http::request::Parts;
use time::OffsetDateTime;

use crate::s3::auth::Credentials;

/// The result of the check of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureCheck {
    /// The form of the signature is not accepted: the S3 error code.
    Refused(String),
    /// The form is accepted: whether the signature is one of the key pair.
    Formed {
        /// Whether the signature is one of the key pair.
        matches: bool,
    },
}

/// Checks the form of the signature of `request` at `now`, and compares the signature with the one of `signer`.
pub fn check_signature(
    mut request: Parts,
    region: &str,
    now: OffsetDateTime,
    signer: &Credentials,
) -> SignatureCheck {
    match super::check(&mut request, region, now) {
        Ok(form) => SignatureCheck::Formed { matches: form.is_signed_for(&request.method, signer) },
        Err(refusal) => SignatureCheck::Refused(refusal.error.code().as_str().to_owned()),
    }
}
