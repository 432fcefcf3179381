//! Why the CDN did not return a playlist, in words for the developer who requested the URL.

use bytes::Bytes;
use http::header::SERVER;
use http::{Response, StatusCode};
use serde_json::Value;
use streamio_events::timestamp::Timestamp;

use super::query::{PlayQuery, refused};
use crate::problem::{Problem, ProblemKind};
use crate::sign::cloudfront;
use crate::sign::policy::matches;

/// The problem for an answer of the CDN that is not 200. `url` is the playlist's URL without the query.
pub(super) fn explain(answer: &Response<Bytes>, query: &PlayQuery, url: &str, now: Timestamp) -> Problem {
    let status = answer.status();
    match status {
        StatusCode::NOT_FOUND => missing("The CDN has no such playlist."),
        // The bucket's answer for an object that does not exist, unless the CDN may list the bucket.
        StatusCode::FORBIDDEN if answer.headers().get(SERVER).is_some_and(|server| server == "AmazonS3") => {
            missing("The bucket has no such playlist, or the CDN may not read it.")
        }
        StatusCode::FORBIDDEN => denied(answer.body(), query, url, now),
        StatusCode::TOO_MANY_REQUESTS => failed(status),
        _ if status.is_server_error() => failed(status),
        _ => Problem::new(
            ProblemKind::InvalidPlaylist,
            format!("The CDN answered with the status {} in place of a playlist.", status.as_u16()),
        ),
    }
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

/// The conditions of a policy whose signature was not verified.
struct Conditions {
    resource: String,
    /// In Unix seconds.
    expires_at: i64,
    /// In Unix seconds.
    starts_at: Option<i64>,
    network: Option<String>,
}

impl Conditions {
    /// Reads an encoded policy. `None` unless it has a resource and an expiry.
    fn read(encoded: &str) -> Option<Self> {
        let policy: Value = serde_json::from_slice(&cloudfront::decode(encoded)?).ok()?;
        let statement = &policy["Statement"][0];
        let condition = &statement["Condition"];
        let time = |name| u32::try_from(condition[name]["AWS:EpochTime"].as_u64()?).ok().map(i64::from);
        // It becomes part of the problem's text.
        let is_network =
            |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit() || b"./".contains(&byte));
        let network = condition["IpAddress"]["AWS:SourceIp"].as_str().filter(is_network);
        Some(Self {
            resource: statement["Resource"].as_str()?.to_owned(),
            expires_at: time("DateLessThan")?,
            starts_at: time("DateGreaterThan"),
            network: network.map(str::to_owned),
        })
    }
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

const NOT_A_POLICY: &str = "is not a policy in the CDN's encoding.";

/// Policies of the API have one. A policy that the CDN refused is not verified, and the time of matching grows with each.
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
        return refused("Policy", "is for other files than this playlist.");
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
