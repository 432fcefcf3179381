//! Custom policies: which URLs a signature allows, when, and for which addresses.

mod document;

use std::net::IpAddr;

use ipnet::Ipv4Net;
use wildmatch::WildMatch;

use self::document::PolicyDocument;
pub use self::document::{LAST_SECOND, MalformedPolicy};

/// A custom policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The pattern of allowed URLs; `None` allows all URLs (a policy without `Resource`).
    resource: Option<WildMatch>,
    /// Allowed before this time, in seconds since the Unix epoch.
    before: u32,
    /// Allowed from this time on, in seconds since the Unix epoch.
    from: Option<u32>,
    /// The allowed addresses of viewers.
    addresses: Option<Ipv4Net>,
}

/// The condition of a policy that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// The policy does not cover the URL.
    Resource {
        /// The pattern of the URLs that it covers.
        covered: String,
    },
    /// The policy has expired.
    Expired {
        /// The expiry, in Unix seconds.
        at: i64,
        /// The time of the request, in Unix seconds.
        now: i64,
    },
    /// The policy is not valid yet.
    NotYetValid {
        /// The start, in Unix seconds.
        from: i64,
        /// The time of the request, in Unix seconds.
        now: i64,
    },
    /// The policy does not cover the viewer's address. It never covers an IPv6 address.
    Address {
        /// The addresses that it covers.
        covered: Ipv4Net,
        /// The viewer's address.
        viewer: IpAddr,
    },
}

impl Policy {
    /// Parses a policy.
    ///
    /// # Errors
    /// [`MalformedPolicy`] for anything that is not documented.
    pub fn parse(json: &[u8]) -> Result<Self, MalformedPolicy> {
        let PolicyDocument { resource, before, from, addresses } = PolicyDocument::parse(json)?;
        Ok(Self { resource: resource.as_deref().map(WildMatch::new), before, from, addresses })
    }

    /// Checks that the policy allows `url` (without CloudFront parameters) at `now`, in seconds since the Unix epoch,
    /// for the viewer at `address`.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn allow(&self, url: &str, now: i64, address: IpAddr) -> Result<(), Violation> {
        if let Some(resource) = self.resource.as_ref().filter(|resource| !resource.matches(url)) {
            return Err(Violation::Resource { covered: resource.to_string() });
        }
        let (at, from) = (i64::from(self.before), self.from.map(i64::from));
        if now >= at {
            return Err(Violation::Expired { at, now });
        }
        if let Some(from) = from.filter(|from| now < *from) {
            return Err(Violation::NotYetValid { from, now });
        }
        let viewer = address.to_canonical();
        let contains_viewer = |addresses: &Ipv4Net| match viewer {
            IpAddr::V4(address) => addresses.contains(&address),
            IpAddr::V6(_) => false,
        };
        if let Some(covered) = self.addresses.filter(|addresses| !contains_viewer(addresses)) {
            return Err(Violation::Address { covered, viewer });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;
    use serde_json::{Value, json};

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
    fn documented_policies_are_parsed_in_any_layout() {
        let text = br#" {"Statement": [ {"Condition":{"IpAddress":{"AWS:SourceIp":"192.0.2.0/24"},
            "DateLessThan":{"AWS:EpochTime":1357034400}},"Resource":"http*://d111.cloudfront.net/training/*"} ] }
        "#;
        let policy = Policy::parse(text).unwrap();
        let viewer = "192.0.2.77".parse().unwrap();
        assert_eq!(policy.allow("https://d111.cloudfront.net/training/a.pdf", 1_357_034_399, viewer), Ok(()));
        assert_eq!(
            policy.allow("https://d111.cloudfront.net/other/a.pdf", 1_357_034_399, viewer),
            Err(Violation::Resource { covered: "http*://d111.cloudfront.net/training/*".into() })
        );
    }

    #[test]
    fn a_policy_without_a_resource_allows_every_url() {
        let policy =
            parse(&json!({"Statement": [{"Condition": {"DateLessThan": {"AWS:EpochTime": 9}}}]})).unwrap();
        assert_eq!(policy.allow("http://cdn/anything?at=all", 8, ANYWHERE), Ok(()));
    }

    /// A simple, slow reference implementation of the wildcards.
    fn matches(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => {
                matches(&pattern[1..], text) || (!text.is_empty() && matches(pattern, &text[1..]))
            }
            (Some('?'), Some(_)) => matches(&pattern[1..], &text[1..]),
            (Some(expected), Some(character)) => expected == character && matches(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_star_matches_any_text_and_a_question_mark_one_character(pattern in r"[aAb/?*é]{0,8}", text in r"[aAb/?é]{0,10}") {
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
        fn allowed_from_the_first_second_until_before_the_last(from in 0..=LAST_SECOND, before in 0..=LAST_SECOND, now: u32) {
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
        fn an_address_is_allowed_if_its_leading_bits_match(network: u32, prefix in 0..=32_u32, flip in 0..40_u32) {
            let policy = with(
                "*",
                &json!({
                    "DateLessThan": {"AWS:EpochTime": 9},
                    "IpAddress": {"AWS:SourceIp": format!("{}/{prefix}", Ipv4Addr::from(network))},
                }),
            ).unwrap();
            // Flips one bit, counted from the most significant, or none.
            let viewer = Ipv4Addr::from(network ^ 0x8000_0000_u32.checked_shr(flip).unwrap_or(0));
            let covered = Ipv4Net::new(Ipv4Addr::from(network), u8::try_from(prefix).unwrap()).unwrap();
            let expected =
                if flip >= prefix { Ok(()) } else { Err(Violation::Address { covered, viewer: viewer.into() }) };
            prop_assert_eq!(policy.allow(URL, 8, viewer.into()), expected.clone());
            prop_assert_eq!(policy.allow(URL, 8, viewer.to_ipv6_mapped().into()), expected);
        }
    }

    #[test]
    fn times_are_compared_in_whole_seconds() {
        let policy = with(
            "*",
            &json!({"DateLessThan": {"AWS:EpochTime": 200}, "DateGreaterThan": {"AWS:EpochTime": 100}}),
        )
        .unwrap();
        let at = |now| policy.allow(URL, now, ANYWHERE);
        assert_eq!(at(99), Err(Violation::NotYetValid { from: 100, now: 99 }));
        assert_eq!(at(100), Ok(()));
        assert_eq!(at(199), Ok(()));
        assert_eq!(at(200), Err(Violation::Expired { at: 200, now: 200 }));
        assert_eq!(at(-1), Err(Violation::NotYetValid { from: 100, now: -1 }));
    }

    #[test]
    fn an_ipv6_viewer_is_not_in_an_ipv4_network() {
        let policy = with(
            "*",
            &json!({"DateLessThan": {"AWS:EpochTime": 9}, "IpAddress": {"AWS:SourceIp": "0.0.0.0/0"}}),
        )
        .unwrap();
        let viewer = "2001:db8::1".parse().unwrap();
        let covered = "0.0.0.0/0".parse().unwrap();
        assert_eq!(policy.allow(URL, 8, viewer), Err(Violation::Address { covered, viewer }));
        assert_eq!(policy.allow(URL, 8, "198.51.100.7".parse().unwrap()), Ok(()));
    }
}
