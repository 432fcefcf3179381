//! The conditions of a policy in a viewer's query.

use serde_json::Value;

use crate::sign::cloudfront;

/// The conditions of a policy whose signature was not verified here.
pub(super) struct Conditions {
    pub(super) resource: String,
    /// In Unix seconds.
    pub(super) expires_at: i64,
    /// In Unix seconds.
    pub(super) starts_at: Option<i64>,
    pub(super) network: Option<String>,
}

impl Conditions {
    /// Reads an encoded policy. `None` unless it has a resource and an expiry.
    pub(super) fn read(encoded: &str) -> Option<Self> {
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
