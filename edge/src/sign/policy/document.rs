use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Deserializer};

/// A policy that was read from its text. Parsing is strict: undocumented and repeated names are refused.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html>
pub(crate) struct PolicyDocument {
    /// The URL or pattern.
    pub(crate) resource: String,
    /// In Unix seconds.
    pub(crate) expires_at: i64,
    /// In Unix seconds.
    pub(crate) starts_at: Option<i64>,
    /// The only network that is allowed.
    pub(crate) source_ip: Option<Ipv4Net>,
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
    /// Parses the JSON of a policy; `None` for anything that is not documented.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let PolicyJson { statement: [Statement { resource, condition }] } =
            serde_json::from_slice(text).ok()?;
        let source_ip = match condition.ip_address {
            Some(source) => Some(network(&source.network)?),
            None => None,
        };
        Some(Self {
            resource,
            expires_at: condition.date_less_than.seconds.into(),
            starts_at: condition.date_greater_than.map(|time| time.seconds.into()),
            source_ip,
        })
    }
}

/// Parses a network in CIDR notation or a single address.
fn network(text: &str) -> Option<Ipv4Net> {
    text.parse().ok().or_else(|| text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from))
}
