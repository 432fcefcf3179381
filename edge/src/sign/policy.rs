//! The policy of a signed CloudFront URL or cookie: files, start, expiry and client network.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html>

mod resource;

use std::fmt::Write as _;

use ipnet::Ipv4Net;

pub(super) use resource::check;
pub(crate) use resource::matches;
pub use resource::{InvalidUrl, Resource};

/// The latest expiry that CloudFront accepts, in Unix seconds: it is a 32-bit integer.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.html>
pub const MAX_EXPIRES_AT: i64 = 2_147_483_647;

/// An unsigned policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    resource: Resource,
    expires_at: i64,
    starts_at: Option<i64>,
    source_ip: Option<Ipv4Net>,
    is_canned: bool,
}

/// Why a policy is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The URL cannot be used in a policy.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// CloudFront rejects times that are not positive and those that overflow 32 bits.
    #[error("a policy's times are Unix seconds from 1 to {MAX_EXPIRES_AT}, not {seconds}")]
    TimeOutOfRange {
        /// The time that was passed.
        seconds: i64,
    },
    /// The policy would never be valid.
    #[error("a policy must start before it expires")]
    StartsAfterExpiry,
}

impl Policy {
    /// A canned policy: one file until `expires_at` (Unix seconds, at most [`MAX_EXPIRES_AT`]). The signed URL contains
    /// only the expiry, because CloudFront rebuilds the policy from it and the URL.
    pub fn canned(url: &str, expires_at: i64) -> Result<Self, InvalidPolicy> {
        Self::new(Resource::exact(url)?, expires_at, true)
    }

    /// A custom policy: one file, or all files that a wildcard covers, until `expires_at` (Unix seconds, at most
    /// [`MAX_EXPIRES_AT`]). It can also have [`Policy::starts_at`] and [`Policy::source_ip`].
    pub fn custom(resource: Resource, expires_at: i64) -> Result<Self, InvalidPolicy> {
        Self::new(resource, expires_at, false)
    }

    fn new(resource: Resource, expires_at: i64, is_canned: bool) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            resource,
            expires_at: check_seconds(expires_at)?,
            starts_at: None,
            source_ip: None,
            is_canned,
        })
    }

    /// The same policy, not valid before `starts_at` (Unix seconds). A canned policy becomes a custom one.
    pub fn starts_at(self, starts_at: i64) -> Result<Self, InvalidPolicy> {
        if check_seconds(starts_at)? >= self.expires_at {
            return Err(InvalidPolicy::StartsAfterExpiry);
        }
        Ok(Self { starts_at: Some(starts_at), is_canned: false, ..self })
    }

    /// The same policy, limited to viewers in one IPv4 network (CloudFront does not support IPv6 here). A canned policy
    /// becomes a custom one.
    #[must_use]
    pub fn source_ip(self, network: Ipv4Net) -> Self {
        Self { source_ip: Some(network.trunc()), is_canned: false, ..self }
    }

    /// The files that the policy covers.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The expiry, in Unix seconds.
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// Whether this is a canned policy.
    pub fn is_canned(&self) -> bool {
        self.is_canned
    }

    /// The text that is signed: JSON without white space, with members in the order of AWS's documentation. For a canned
    /// policy this order is required, since CloudFront rebuilds the same text to verify the signature. No character of a
    /// [`Resource`] needs escaping.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.resource.as_str().len() + 192);
        json.push_str(r#"{"Statement":[{"Resource":""#);
        json.push_str(self.resource.as_str());
        let mut add =
            |text: std::fmt::Arguments<'_>| json.write_fmt(text).expect("writing to a String does not fail");
        add(format_args!(r#"","Condition":{{"DateLessThan":{{"AWS:EpochTime":{}}}"#, self.expires_at));
        if let Some(starts_at) = self.starts_at {
            add(format_args!(r#","DateGreaterThan":{{"AWS:EpochTime":{starts_at}}}"#));
        }
        if let Some(network) = self.source_ip {
            add(format_args!(r#","IpAddress":{{"AWS:SourceIp":"{network}"}}"#));
        }
        json.push_str("}}]}");
        json
    }
}

fn check_seconds(seconds: i64) -> Result<i64, InvalidPolicy> {
    if (1..=MAX_EXPIRES_AT).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(InvalidPolicy::TimeOutOfRange { seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://d111111abcdef8.cloudfront.net/horizon.jpg?size=large&license=yes";

    #[test]
    fn the_documented_canned_policy_is_written_without_white_space() {
        let policy = Policy::canned(URL, 1_357_034_400).unwrap();
        insta::assert_snapshot!(policy.to_json(), @r#"{"Statement":[{"Resource":"https://d111111abcdef8.cloudfront.net/horizon.jpg?size=large&license=yes","Condition":{"DateLessThan":{"AWS:EpochTime":1357034400}}}]}"#);
        assert!(policy.is_canned());
    }

    #[test]
    fn a_custom_policy_has_its_conditions_in_the_documented_order() {
        let training = Resource::wildcard("https://d111111abcdef8.cloudfront.net/training/*").unwrap();
        let policy = Policy::custom(training, 1_675_332_000)
            .unwrap()
            .source_ip("192.0.2.77/24".parse().unwrap())
            .starts_at(1_675_159_200)
            .unwrap();
        insta::assert_snapshot!(policy.to_json(), @r#"{"Statement":[{"Resource":"https://d111111abcdef8.cloudfront.net/training/*","Condition":{"DateLessThan":{"AWS:EpochTime":1675332000},"DateGreaterThan":{"AWS:EpochTime":1675159200},"IpAddress":{"AWS:SourceIp":"192.0.2.0/24"}}}]}"#);
        assert!(!policy.is_canned());
    }

    #[test]
    fn a_condition_turns_a_canned_policy_into_a_custom_one() {
        let canned = || Policy::canned(URL, 1_357_034_400).unwrap();
        assert!(!canned().starts_at(1).unwrap().is_canned());
        assert!(!canned().source_ip("192.0.2.1/32".parse().unwrap()).is_canned());
    }

    #[test]
    fn times_that_cloudfront_cannot_read_are_refused() {
        for seconds in [0, -1, MAX_EXPIRES_AT + 1, i64::MAX] {
            assert_eq!(Policy::canned(URL, seconds), Err(InvalidPolicy::TimeOutOfRange { seconds }));
        }
        assert!(Policy::canned(URL, MAX_EXPIRES_AT).is_ok());
        let policy = || Policy::canned(URL, 100).unwrap();
        assert_eq!(policy().starts_at(100), Err(InvalidPolicy::StartsAfterExpiry));
        assert_eq!(policy().starts_at(0), Err(InvalidPolicy::TimeOutOfRange { seconds: 0 }));
        assert!(policy().starts_at(99).is_ok());
    }
}
