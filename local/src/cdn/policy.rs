//! Policies: what a signature allows, and for how long.
//!
//! The format is that of
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html>,
//! read strictly: a policy with a name that is not documented there, a name given twice, more than one statement or a
//! value of another type is malformed.

use std::net::IpAddr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use wildmatch::WildMatch;

/// The last second that a policy can name: times are 32-bit integers, so 2038-01-19T03:14:07Z.
pub const LAST_SECOND: u32 = 2_147_483_647;

/// What is allowed: some resources, between two moments, perhaps to some addresses only.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Which URLs; `None` allows every one (a policy without `Resource`).
    resource: Option<WildMatch>,
    /// Seconds since the Unix epoch; allowed before this moment.
    before: u32,
    /// Seconds since the Unix epoch; allowed from this moment on.
    from: Option<u32>,
    /// The viewers' addresses.
    addresses: Option<Ipv4Net>,
}

/// A policy that is not JSON of the documented shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed policy")]
pub struct MalformedPolicy;

/// The condition of a policy that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// The URL is none of the policy's resources.
    Resource,
    /// The policy's end has come.
    Expired,
    /// The policy's beginning has not come.
    NotYetValid,
    /// The viewer's address is not one of the policy's. An IPv6 address never is.
    Address,
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
    before: Moment,
    #[serde(rename = "DateGreaterThan", default, deserialize_with = "not_null")]
    from: Option<Moment>,
    #[serde(rename = "IpAddress", default, deserialize_with = "not_null")]
    address: Option<Source>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moment {
    #[serde(rename = "AWS:EpochTime")]
    seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    #[serde(rename = "AWS:SourceIp")]
    cidr: String,
}

/// Reads a value that may be left out but not be null.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`MalformedPolicy`] for anything that is not documented.
    pub fn parse(json: &[u8]) -> Result<Self, MalformedPolicy> {
        Self::checked(json).ok_or(MalformedPolicy)
    }

    fn checked(json: &[u8]) -> Option<Self> {
        let Document { statement: [Statement { resource, condition }] } =
            serde_json::from_slice(json).ok()?;
        // What serde reads into a struct may also have been an array of its values; a policy has names.
        let value: Value = serde_json::from_slice(json).ok()?;
        let named = |path: &str| value.pointer(path).is_some();
        let begins =
            |text: &String| ["http://", "https://", "http*", "*"].iter().any(|start| text.starts_with(start));
        let in_time = |moment: &Moment| moment.seconds <= LAST_SECOND;
        let well_formed = named("/Statement/0/Condition/DateLessThan/AWS:EpochTime")
            && (condition.from.is_none() || named("/Statement/0/Condition/DateGreaterThan/AWS:EpochTime"))
            && (condition.address.is_none() || named("/Statement/0/Condition/IpAddress/AWS:SourceIp"))
            && resource.as_ref().is_none_or(begins)
            && in_time(&condition.before)
            && condition.from.as_ref().is_none_or(in_time);
        if !well_formed {
            return None;
        }
        let addresses = match condition.address {
            Some(source) => Some(source.cidr.parse().ok()?),
            None => None,
        };
        Some(Self {
            resource: resource.as_deref().map(WildMatch::new),
            before: condition.before.seconds,
            from: condition.from.map(|moment| moment.seconds),
            addresses,
        })
    }

    /// Whether the policy allows `url` (without CloudFront parameters) at `now`, in seconds since the Unix epoch, to
    /// the viewer at `address`.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn allow(&self, url: &str, now: i64, address: IpAddr) -> Result<(), Violation> {
        if self.resource.as_ref().is_some_and(|resource| !resource.matches(url)) {
            return Err(Violation::Resource);
        }
        if now >= i64::from(self.before) {
            return Err(Violation::Expired);
        }
        if self.from.is_some_and(|from| now < i64::from(from)) {
            return Err(Violation::NotYetValid);
        }
        let among = |addresses: &Ipv4Net| match address.to_canonical() {
            IpAddr::V4(address) => addresses.contains(&address),
            IpAddr::V6(_) => false,
        };
        if self.addresses.as_ref().is_some_and(|addresses| !among(addresses)) {
            return Err(Violation::Address);
        }
        Ok(())
    }
}

/// The text of the canned policy for a URL, exactly as its signer signed it. `expires` is the parameter as sent: a
/// decimal number of seconds without sign or leading zeros, at most [`LAST_SECOND`].
///
/// # Errors
/// [`MalformedPolicy`] for another `expires`.
pub(super) fn canned(url: &str, expires: &str) -> Result<(String, u32), MalformedPolicy> {
    let seconds = expires.parse::<u32>().map_err(|_| MalformedPolicy)?;
    if seconds > LAST_SECOND || seconds.to_string() != expires {
        return Err(MalformedPolicy);
    }
    // A quotation mark in the URL stays inside the text that the signer signed.
    let resource = Value::from(url);
    let text = format!(
        r#"{{"Statement":[{{"Resource":{resource},"Condition":{{"DateLessThan":{{"AWS:EpochTime":{seconds}}}}}}}]}}"#
    );
    Ok((text, seconds))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const URL: &str = "http://cdn/a.mp4";

    fn parse(json: &Value) -> Result<Policy, MalformedPolicy> {
        Policy::parse(json.to_string().as_bytes())
    }

    fn with(resource: &str, condition: &Value) -> Result<Policy, MalformedPolicy> {
        parse(&json!({"Statement": [{"Resource": resource, "Condition": condition}]}))
    }

    fn until(resource: &str, seconds: u32) -> Policy {
        with(resource, &json!({"DateLessThan": {"AWS:EpochTime": seconds}})).unwrap()
    }

    #[test]
    fn documented_policies_are_read_in_any_layout() {
        let text = br#" {"Statement": [ {"Condition":{"IpAddress":{"AWS:SourceIp":"192.0.2.0/24"},
            "DateLessThan":{"AWS:EpochTime":1357034400}},"Resource":"http*://d111.cloudfront.net/training/*"} ] }
        "#;
        let policy = Policy::parse(text).unwrap();
        let viewer = "192.0.2.77".parse().unwrap();
        assert_eq!(policy.allow("https://d111.cloudfront.net/training/a.pdf", 1_357_034_399, viewer), Ok(()));
        assert_eq!(
            policy.allow("https://d111.cloudfront.net/other/a.pdf", 1_357_034_399, viewer),
            Err(Violation::Resource)
        );
    }

    #[test]
    fn a_policy_without_a_resource_allows_every_url() {
        let policy =
            parse(&json!({"Statement": [{"Condition": {"DateLessThan": {"AWS:EpochTime": 9}}}]})).unwrap();
        assert_eq!(policy.allow("http://cdn/anything?at=all", 8, ANYWHERE), Ok(()));
    }

    #[test]
    fn whatever_is_not_documented_is_malformed() {
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
            assert_eq!(Policy::parse(bad.as_bytes()), Err(MalformedPolicy), "{bad}");
        }
        assert_eq!(Policy::parse(b"\xff"), Err(MalformedPolicy));
    }

    #[test]
    fn a_canned_policy_is_the_documented_text() {
        let url = "http://d111111abcdef8.cloudfront.net/horizon.jpg?size=large&license=yes";
        let (text, seconds) = canned(url, "1357034400").unwrap();
        assert_eq!(seconds, 1_357_034_400);
        insta::assert_snapshot!(text, @r#"{"Statement":[{"Resource":"http://d111111abcdef8.cloudfront.net/horizon.jpg?size=large&license=yes","Condition":{"DateLessThan":{"AWS:EpochTime":1357034400}}}]}"#);
        for bad in ["", "01357034400", "+1", "-1", "1.0", " 1", "1e9", "2147483648", "1767290400000", "x"] {
            assert_eq!(canned(url, bad), Err(MalformedPolicy), "{bad:?}");
        }
    }

    #[test]
    fn a_canned_policy_names_the_whole_url_whatever_is_in_it() {
        let url = r#"http://cdn/a","Condition":{"x\"#;
        let (text, _) = canned(url, "9").unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["Statement"][0]["Resource"], url);
    }

    /// The definition of the wildcards, as slow as it is plain.
    fn matches(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => {
                matches(&pattern[1..], text) || (!text.is_empty() && matches(pattern, &text[1..]))
            }
            (Some('?'), Some(_)) => matches(&pattern[1..], &text[1..]),
            (Some(wanted), Some(found)) => wanted == found && matches(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_star_is_any_text_and_a_question_mark_one_character(pattern in r"[aAb/?*é]{0,8}", text in r"[aAb/?é]{0,10}") {
            let policy = until(&format!("*{pattern}"), 9);
            let naive: Vec<char> = format!("*{pattern}").chars().collect();
            let expected = matches(&naive, &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(policy.allow(&text, 8, ANYWHERE).is_ok(), expected);

            let policy = until(&format!("http://{pattern}"), 9);
            let naive: Vec<char> = pattern.chars().collect();
            let expected = matches(&naive, &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(policy.allow(&format!("http://{text}"), 8, ANYWHERE).is_ok(), expected);
        }

        #[test]
        fn allowed_from_the_first_second_until_just_before_the_last(from in 0..=LAST_SECOND, before in 0..=LAST_SECOND, now: u32) {
            let now = i64::from(now);
            let policy = with(
                "*",
                &json!({"DateLessThan": {"AWS:EpochTime": before}, "DateGreaterThan": {"AWS:EpochTime": from}}),
            ).unwrap();
            let expected = (i64::from(from)..i64::from(before)).contains(&now);
            prop_assert_eq!(policy.allow(URL, now, ANYWHERE).is_ok(), expected);
            prop_assert_eq!(until("*", before).allow(URL, now, ANYWHERE).is_ok(), now < i64::from(before));
        }

        #[test]
        fn an_address_is_allowed_when_it_agrees_in_the_leading_bits(network: u32, prefix in 0..=32_u32, flip in 0..40_u32) {
            let policy = with(
                "*",
                &json!({
                    "DateLessThan": {"AWS:EpochTime": 9},
                    "IpAddress": {"AWS:SourceIp": format!("{}/{prefix}", Ipv4Addr::from(network))},
                }),
            ).unwrap();
            // Changes one bit, counted from the most significant, or none.
            let viewer = Ipv4Addr::from(network ^ 0x8000_0000_u32.checked_shr(flip).unwrap_or(0));
            let expected = if flip >= prefix { Ok(()) } else { Err(Violation::Address) };
            prop_assert_eq!(policy.allow(URL, 8, viewer.into()), expected);
            prop_assert_eq!(policy.allow(URL, 8, viewer.to_ipv6_mapped().into()), expected);
        }
    }

    #[test]
    fn the_boundaries_are_whole_seconds() {
        let policy = with(
            "*",
            &json!({"DateLessThan": {"AWS:EpochTime": 200}, "DateGreaterThan": {"AWS:EpochTime": 100}}),
        )
        .unwrap();
        let at = |now| policy.allow(URL, now, ANYWHERE);
        assert_eq!(at(99), Err(Violation::NotYetValid));
        assert_eq!(at(100), Ok(()));
        assert_eq!(at(199), Ok(()));
        assert_eq!(at(200), Err(Violation::Expired));
        assert_eq!(at(-1), Err(Violation::NotYetValid));
    }

    #[test]
    fn an_ipv6_viewer_is_no_member_of_an_ipv4_network() {
        let policy = with(
            "*",
            &json!({"DateLessThan": {"AWS:EpochTime": 9}, "IpAddress": {"AWS:SourceIp": "0.0.0.0/0"}}),
        )
        .unwrap();
        assert_eq!(policy.allow(URL, 8, "2001:db8::1".parse().unwrap()), Err(Violation::Address));
        assert_eq!(policy.allow(URL, 8, "198.51.100.7".parse().unwrap()), Ok(()));
    }
}
