//! Why the CDN did not return a playlist, in words for the developer who requested the URL.

use bytes::Bytes;
use http::header::SERVER;
use http::{Response, StatusCode};
use streamio_events::timestamp::Timestamp;

use super::conditions::Conditions;
use super::query::{PlayQuery, refused};
use crate::problem::{Problem, ProblemKind};
use crate::sign::policy::matches;

/// The problem for an answer of the CDN that is not 200. `url` is the playlist's URL without the query.
pub(super) fn explain(answer: &Response<Bytes>, query: &PlayQuery, url: &str, now: Timestamp) -> Problem {
    explain_by(answer, || denied(answer.body(), query, url, now))
}

/// The problem for an answer of the CDN that is not 200, to a request that the edge has signed itself.
pub(super) fn explain_own(answer: &Response<Bytes>) -> Problem {
    explain_by(answer, || failed(answer.status()))
}

fn explain_by(answer: &Response<Bytes>, denied: impl FnOnce() -> Problem) -> Problem {
    let status = answer.status();
    match status {
        StatusCode::NOT_FOUND => missing("The CDN has no such playlist."),
        // The bucket's answer for an object that does not exist, unless the CDN may list the bucket.
        StatusCode::FORBIDDEN if answer.headers().get(SERVER).is_some_and(|server| server == "AmazonS3") => {
            missing("The bucket has no such playlist, or the CDN may not read it.")
        }
        StatusCode::FORBIDDEN => denied(),
        StatusCode::TOO_MANY_REQUESTS => failed(status),
        StatusCode::BAD_REQUEST => Problem::new(
            ProblemKind::InvalidParameter,
            "The CDN cannot read the playlist's URL: use the whole URL as it was issued.",
        ),
        _ if is_too_long(status) => Problem::new(
            ProblemKind::UriTooLong,
            "The playlist's URL is longer than the CDN accepts: request a new URL, and upload under a shorter name if it is as long.",
        ),
        _ if status.is_server_error() => failed(status),
        _ => Problem::new(
            ProblemKind::InvalidPlaylist,
            format!("The CDN answered with the status {} in place of a playlist.", status.as_u16()),
        ),
    }
}

/// Whether the CDN refuses the size of the request. The last is what servers that are built on nginx answer.
fn is_too_long(status: StatusCode) -> bool {
    matches!(status.as_u16(), 413 | 414 | 431 | 494)
}

fn missing(detail: &str) -> Problem {
    Problem::new(ProblemKind::NoSuchPlaylist, detail)
}

fn failed(status: StatusCode) -> Problem {
    Problem::unavailable(
        "The CDN could not serve the playlist.",
        format!("the CDN answered with the status {status}"),
    )
}

/// The refusal of a signature. CloudFront says little about the reason (`AccessDenied`), so the conditions are read from the policy.
fn denied(body: &[u8], query: &PlayQuery, url: &str, now: Timestamp) -> Problem {
    match code(body) {
        Some("MissingKey" | "InvalidKey") => refused("Key-Pair-Id", "names no key pair that the CDN trusts."),
        Some("MissingSignature" | "MalformedSignature") => {
            refused("Signature", "is not a signature in the CDN's encoding.")
        }
        Some("MissingPolicy" | "MalformedPolicy") => refused("Policy", NOT_A_POLICY),
        _ => match Conditions::read(&query.policy) {
            None => refused("Policy", NOT_A_POLICY),
            Some(conditions) => refused_by(&conditions, url, now),
        },
    }
}

pub(super) const NOT_A_POLICY: &str = "is not a policy in the CDN's encoding.";

pub(super) const OTHER_FILES: &str = "is for other files than this playlist.";

/// Policies of the API have at most one. A policy that the CDN refused is not verified, and the time of matching grows with each.
const MAX_WILDCARDS: usize = 2;

/// The first condition that does not hold; the signature if all hold.
fn refused_by(conditions: &Conditions, url: &str, now: Timestamp) -> Problem {
    let at = |seconds| Timestamp::from_unix_seconds(seconds);
    if now.unix_seconds() >= conditions.expires_at {
        let detail = format!("expired at {}: request a new URL.", at(conditions.expires_at));
        return refused("Policy", &detail);
    }
    if let Some(starts_at) = conditions.starts_at.filter(|starts_at| now.unix_seconds() < *starts_at) {
        return refused("Policy", &format!("is not valid before {}.", at(starts_at)));
    }
    let wildcards = conditions.resource.bytes().filter(|byte| *byte == b'*').count();
    if wildcards > MAX_WILDCARDS || !matches(&conditions.resource, url) {
        return refused("Policy", OTHER_FILES);
    }
    if let Some(network) = &conditions.network {
        let detail = format!(
            "allows the network {network} only, and the CDN sees this service's address: use `hlsUrl` as it was issued, \
             or request the playlist from the CDN itself."
        );
        return refused("Policy", &detail);
    }
    refused("Signature", "does not belong to this policy, key pair and hash algorithm.")
}

/// The `Code` of an error in the XML of CloudFront and S3.
fn code(body: &[u8]) -> Option<&str> {
    let text = str::from_utf8(body).ok()?;
    let (_, after) = text.split_once("<Code>")?;
    after.split_once("</Code>").map(|(code, _)| code)
}
