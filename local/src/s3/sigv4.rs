//! Checks the form of a signed request before its signature is verified.
//!
//! `s3s` verifies signatures. This module enforces the rules of Signature Version 4 that `s3s` does not enforce, and
//! refuses the other ways of authentication that `s3s` accepts (Signature Version 2, browser form posts):
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.

mod canonical_request;
mod fields;
mod mismatch;
#[cfg(feature = "testing")]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod validity;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use s3s::{S3Error, S3Result, s3_error};
use time::OffsetDateTime;
use url::form_urlencoded;

use self::fields::SignatureFields;
pub(super) use self::mismatch::SignedRequest;
use super::refusal::Refusal;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The query parameters that carry the signature itself.
const AUTHENTICATION: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

/// Refuses a request that is not signed or whose signature does not cover what it must. Copies the headers that a
/// presigned URL carries in its query to the request's headers. Returns what the signature was made over.
///
/// # Errors
/// The S3 error to return. It never contains a signature.
pub(super) fn check(
    request: &mut Parts,
    region: &str,
    now: OffsetDateTime,
) -> Result<SignedRequest, Refusal> {
    let query = query_parameters(request);
    let in_query = query.iter().any(|(name, _)| name == "X-Amz-Signature");
    let in_header = request.headers.contains_key(AUTHORIZATION);
    if query.iter().any(|(name, _)| name == "Signature" || name == "AWSAccessKeyId") {
        return Err(unsupported_mechanism().into());
    }
    refuse_form_post(request)?;
    let signed = match (in_header, in_query) {
        (false, false) => {
            return Err(s3_error!(AccessDenied, "the request is not signed; sign it with {ALGORITHM}").into());
        }
        (true, true) => {
            return Err(s3_error!(
                InvalidArgument,
                "sign in the query or in the Authorization header, not in both"
            )
            .into());
        }
        (true, false) => SignatureFields::from_header(&request.headers)?,
        (false, true) => SignatureFields::from_query(&query)?,
    };
    signed.check_scope(region)?;
    if request.headers.contains_key("x-amz-security-token")
        || query.iter().any(|(name, _)| name == "X-Amz-Security-Token")
    {
        return Err(s3_error!(
            InvalidToken,
            "session tokens are not supported; sign with the key pair alone"
        )
        .into());
    }
    signed.check_headers(&request.headers)?;
    validity::check(&signed, now)?;
    if in_query {
        copy_query_headers(&mut request.headers, &query)?;
    }
    Ok(SignedRequest::new(request, query, signed))
}

fn query_parameters(request: &Parts) -> Vec<(String, String)> {
    form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn unsupported_mechanism() -> S3Error {
    s3_error!(InvalidRequest, "the authorization mechanism is not supported; use {ALGORITHM}")
}

/// Refuses browser form posts: only the form's policy is signed, not the request, and a form without a policy is not
/// signed at all.
fn refuse_form_post(request: &Parts) -> S3Result<()> {
    let is_form = request.headers.get_all(CONTENT_TYPE).iter().any(|value| {
        value.as_bytes().trim_ascii_start().to_ascii_lowercase().starts_with(b"multipart/form-data")
    });
    if request.method == Method::POST && is_form {
        return Err(s3_error!(MethodNotAllowed, "uploads by form are not supported; PUT to a presigned URL"));
    }
    Ok(())
}

/// Copies `x-amz-*` parameters of a presigned URL to the headers. Signers may put such headers into the query, where
/// the signature covers them.
fn copy_query_headers(headers: &mut HeaderMap, query: &[(String, String)]) -> S3Result<()> {
    for (name, value) in query {
        let lower = name.to_ascii_lowercase();
        if !lower.starts_with("x-amz-") || AUTHENTICATION.contains(&name.as_str()) {
            continue;
        }
        let invalid = || s3_error!(InvalidArgument, "the query parameter {lower:?} is not a valid header");
        let header = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        if headers.insert(header, value).is_some() {
            return Err(s3_error!(InvalidArgument, "{lower:?} is sent twice"));
        }
    }
    Ok(())
}
