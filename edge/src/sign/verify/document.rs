use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::VerificationError;
use crate::sign::policy;

/// A parsed policy. Parsing is strict: undocumented and repeated names are refused.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html>
pub(super) struct PolicyDocument {
    pub(super) resource: String,
    pub(super) expires_at: i64,
    pub(super) starts_at: Option<i64>,
    pub(super) source_ip: Option<Ipv4Net>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PolicyJson {
    statement: [Statement; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    resource: String,
    condition: Condition,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Condition {
    date_less_than: EpochTime,
    #[serde(default, deserialize_with = "not_null")]
    date_greater_than: Option<EpochTime>,
    #[serde(default, deserialize_with = "not_null")]
    ip_address: Option<IpAddress>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochTime {
    #[serde(rename = "AWS:EpochTime")]
    seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IpAddress {
    #[serde(rename = "AWS:SourceIp")]
    network: String,
}

/// Refuses `null` for a member that may be absent.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl PolicyDocument {
    pub(super) fn canned(url: &str, expires_at: i64) -> Self {
        Self { resource: url.to_owned(), expires_at, starts_at: None, source_ip: None }
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let PolicyJson { statement: [Statement { resource, condition }] } =
            serde_json::from_slice(text).ok()?;
        if !has_names(text) || !SCHEMES.iter().any(|scheme| resource.starts_with(scheme)) {
            return None;
        }
        let source_ip = match condition.ip_address {
            Some(source) => Some(network(&source.network)?),
            None => None,
        };
        let expires_at = i64::from(condition.date_less_than.seconds);
        let starts_at = condition.date_greater_than.map(|time| i64::from(time.seconds));
        // The CDN reads no later times.
        let in_range = |seconds: i64| seconds <= policy::MAX_EXPIRES_AT;
        (in_range(expires_at) && starts_at.is_none_or(in_range)).then_some(Self {
            resource,
            expires_at,
            starts_at,
            source_ip,
        })
    }

    /// Checks the conditions; returns the first that does not hold.
    pub(super) fn check(
        &self,
        url: &str,
        now: i64,
        address: Option<IpAddr>,
    ) -> Result<(), VerificationError> {
        if !policy::matches(&self.resource, url) {
            return Err(VerificationError::NotCovered);
        }
        if now >= self.expires_at {
            return Err(VerificationError::Expired);
        }
        if self.starts_at.is_some_and(|starts_at| now < starts_at) {
            return Err(VerificationError::NotYetValid);
        }
        match (&self.source_ip, address.map(|address| address.to_canonical())) {
            (None, _) => Ok(()),
            (Some(network), Some(IpAddr::V4(address))) if network.contains(&address) => Ok(()),
            (Some(_), Some(_)) => Err(VerificationError::OtherAddress),
            (Some(_), None) => Err(VerificationError::AddressNeeded),
        }
    }
}

/// How the resource of a policy begins.
const SCHEMES: [&str; 4] = ["http://", "https://", "http*", "*"];

/// Whether the values of the policy `text` have their names. Serde also reads a struct from an array of its values.
fn has_names(text: &[u8]) -> bool {
    let Ok(policy) = serde_json::from_slice::<Value>(text) else { return false };
    let condition = policy.pointer("/Statement/0/Condition").and_then(Value::as_object);
    condition.is_some_and(|conditions| conditions.values().all(Value::is_object))
}

/// Parses a network in CIDR notation or a single address.
fn network(text: &str) -> Option<Ipv4Net> {
    text.parse().ok().or_else(|| text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from))
}
