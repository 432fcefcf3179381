//! The JSON format of custom policies:
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html>.
//!
//! Parsing is strict: an undocumented name, a repeated name, several statements or a value of another type are
//! malformed.

use ipnet::Ipv4Net;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The last second that a policy can name: times are 32-bit integers, so 2038-01-19T03:14:07Z.
pub const LAST_SECOND: u32 = 2_147_483_647;

/// A policy that is not JSON in the documented format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed policy")]
pub struct MalformedPolicy;

/// The values of a well-formed policy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PolicyDocument {
    /// The pattern of URLs; `None` if the policy has no `Resource`.
    pub(super) resource: Option<String>,
    /// `DateLessThan`, in seconds since the Unix epoch.
    pub(super) before: u32,
    /// `DateGreaterThan`, in seconds since the Unix epoch.
    pub(super) from: Option<u32>,
    /// `IpAddress`.
    pub(super) addresses: Option<Ipv4Net>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "Statement")]
    statement: [Statement; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Resource", default, deserialize_with = "not_null")]
    resource: Option<String>,
    #[serde(rename = "Condition")]
    condition: Condition,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    #[serde(rename = "DateLessThan")]
    before: EpochTime,
    #[serde(rename = "DateGreaterThan", default, deserialize_with = "not_null")]
    from: Option<EpochTime>,
    #[serde(rename = "IpAddress", default, deserialize_with = "not_null")]
    address: Option<SourceIp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochTime {
    #[serde(rename = "AWS:EpochTime")]
    seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceIp {
    #[serde(rename = "AWS:SourceIp")]
    cidr: String,
}

/// Deserializes a value that may be absent but not null.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl PolicyDocument {
    /// Parses a policy.
    ///
    /// # Errors
    /// [`MalformedPolicy`] for anything that is not documented.
    pub(super) fn parse(json: &[u8]) -> Result<Self, MalformedPolicy> {
        Self::try_parse(json).ok_or(MalformedPolicy)
    }

    fn try_parse(json: &[u8]) -> Option<Self> {
        let Document { statement: [Statement { resource, condition }] } =
            serde_json::from_slice(json).ok()?;
        // Serde also reads a struct from an array of its values, which a policy must not have.
        let value: Value = serde_json::from_slice(json).ok()?;
        let has_name = |path: &str| value.pointer(path).is_some();
        let starts_with_scheme =
            |text: &String| ["http://", "https://", "http*", "*"].iter().any(|start| text.starts_with(start));
        let in_range = |time: &EpochTime| time.seconds <= LAST_SECOND;
        let well_formed = has_name("/Statement/0/Condition/DateLessThan/AWS:EpochTime")
            && (condition.from.is_none() || has_name("/Statement/0/Condition/DateGreaterThan/AWS:EpochTime"))
            && (condition.address.is_none() || has_name("/Statement/0/Condition/IpAddress/AWS:SourceIp"))
            && resource.as_ref().is_none_or(starts_with_scheme)
            && in_range(&condition.before)
            && condition.from.as_ref().is_none_or(in_range);
        if !well_formed {
            return None;
        }
        let addresses = match condition.address {
            Some(source) => Some(source.cidr.parse().ok()?),
            None => None,
        };
        Some(Self {
            resource,
            before: condition.before.seconds,
            from: condition.from.map(|time| time.seconds),
            addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(json: &Value) -> Result<PolicyDocument, MalformedPolicy> {
        PolicyDocument::parse(json.to_string().as_bytes())
    }

    fn with(resource: &str, condition: &Value) -> Result<PolicyDocument, MalformedPolicy> {
        parse(&json!({"Statement": [{"Resource": resource, "Condition": condition}]}))
    }

    #[test]
    fn anything_undocumented_is_malformed() {
        let condition = json!({"DateLessThan": {"AWS:EpochTime": 9}});
        let statement = json!({"Resource": "*", "Condition": condition});
        for bad in [
            json!(null),
            json!([]),
            json!({}),
            json!({"Statement": []}),
            json!({"Statement": statement}),
            json!({"Statement": [statement, statement]}),
            json!({"Statement": [["*", condition]]}),
            json!([[statement]]),
            json!({"Statement": [statement], "Version": "2012-10-17"}),
            json!({"Statement": [{"Resource": "*"}]}),
            json!({"Statement": [{"Resource": null, "Condition": condition}]}),
            json!({"Statement": [{"Resource": ["*"], "Condition": condition}]}),
            json!({"Statement": [{"Resource": "*", "Effect": "Allow", "Condition": condition}]}),
            json!({"Statement": [{"resource": "*", "Condition": condition}]}),
            json!({"Statement": [{"Resource": "", "Condition": condition}]}),
            json!({"Statement": [{"Resource": "/a.mp4", "Condition": condition}]}),
            json!({"Statement": [{"Resource": "ftp://cdn/a.mp4", "Condition": condition}]}),
            json!({"Statement": [{"Resource": "*", "Condition": {}}]}),
            json!({"Statement": [{"Resource": "*", "Condition": [{"AWS:EpochTime": 9}]}]}),
            json!({"Statement": [{"Resource": "*", "Condition": {"DateLessThan": 9}}]}),
            json!({"Statement": [{"Resource": "*", "Condition": {"DateLessThan": [9]}}]}),
            json!({"Statement": [{"Resource": "*", "Condition": {"DateLessThan": {"AWS:EpochTime": "9"}}}]}),
            json!({"Statement": [{"Resource": "*", "Condition": {"DateLessThan": {"AWS:EpochTime": 9.5}}}]}),
            json!({"Statement": [{"Resource": "*", "Condition": {"DateLessThan": {"AWS:EpochTime": -9}}}]}),
            json!({"Statement": [{"Resource": "*", "Condition": {"DateLessThan": {"AWS:EpochTime": 2_147_483_648_u32}}}]}),
            json!({"Statement": [{"Resource": "*", "Condition": {"DateLessThan": {"AWS:EpochTime": 1_767_290_400_000_u64}}}]}),
        ] {
            assert_eq!(parse(&bad), Err(MalformedPolicy), "{bad}");
        }
        for bad in [
            json!({"DateGreaterThan": {"AWS:EpochTime": 9}}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "DateGreaterThan": null}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "DateGreaterThan": [1]}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "DateGreaterThan": {"AWS:EpochTime": 2_147_483_648_u32}}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "IpAddress": null}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "IpAddress": ["1.2.3.4/32"]}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "IpAddress": {"AWS:SourceIp": ["1.2.3.4/32"]}}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "IpAddress": {"AWS:SourceIp": "1.2.3.4"}}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "IpAddress": {"AWS:SourceIp": "1.2.3.4/33"}}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "IpAddress": {"AWS:SourceIp": "2001:db8::/32"}}),
            json!({"DateLessThan": {"AWS:EpochTime": 9}, "NotIpAddress": {"AWS:SourceIp": "1.2.3.4/32"}}),
        ] {
            assert_eq!(with("*", &bad), Err(MalformedPolicy), "{bad}");
        }
        for bad in [
            r#"{"Statement":[{"Resource":"http://a/*","Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":9}}}]}"#,
            r#"{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":9,"AWS:EpochTime":99}}}]}"#,
            r#"{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":09}}}]}"#,
            r#"{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":9}}}]} x"#,
        ] {
            assert_eq!(PolicyDocument::parse(bad.as_bytes()), Err(MalformedPolicy), "{bad}");
        }
        assert_eq!(PolicyDocument::parse(b"\xff"), Err(MalformedPolicy));
    }
}
