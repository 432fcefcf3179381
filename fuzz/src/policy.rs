//! CloudFront's policies: the parser of the CDN, and the policies and patterns of the edge.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;
use streamio_edge::sign::policy::{self, Resource};
use streamio_local::cdn::policy::Policy;

use crate::text;

/// The latest expiry, in seconds since the Unix epoch.
const LAST_SECOND: u64 = 2_147_483_647;

/// An accepted policy has the documented form. The edge's policy for a URL is accepted by the CDN and covers what the edge says that it
/// covers. The first line is a URL, the second a pattern, the rest a policy.
pub fn check(data: &[u8]) {
    let ([url, pattern], json) = text::lines(data);
    check_document(json);
    let (Some(url), Some(pattern)) = (text::of(url), text::of(pattern)) else { return };
    let resources = [Resource::wildcard(pattern), Resource::exact(pattern)];
    for resource in resources.into_iter().flatten() {
        let covers = resource.covers(url);
        let Ok(signed) = policy::Policy::custom(resource, 2_000_000_000) else { continue };
        let parsed =
            Policy::parse(signed.to_json().as_bytes()).expect("the edge's policy has the documented form");
        if covers {
            assert_eq!(
                parsed.allow(url, 1, IpAddr::V4(Ipv4Addr::LOCALHOST)),
                Ok(()),
                "{pattern:?} and {url:?}"
            );
        }
    }
}

fn check_document(json: &[u8]) {
    let Ok(policy) = Policy::parse(json) else { return };
    let value: Value = serde_json::from_slice(json).expect("a policy is JSON");
    let again = Policy::parse(value.to_string().as_bytes()).expect("it is the same value");
    assert_eq!(again, policy);
    let statement = &value["Statement"];
    assert_eq!(statement.as_array().map(Vec::len), Some(1));
    let condition = &statement[0]["Condition"];
    let before = condition["DateLessThan"]["AWS:EpochTime"].as_u64().expect("every policy expires");
    assert!(before <= LAST_SECOND);
    let now = i64::try_from(before).expect("it is small");
    let url = statement[0]["Resource"].as_str().unwrap_or("https://cdn.example/");
    for address in ["192.0.2.1", "2001:db8::1"] {
        let address = address.parse().expect("it is an address");
        assert!(policy.allow(url, now, address).is_err(), "it has expired");
        if policy.allow(url, now - 1, address).is_ok() {
            let from = condition.get("DateGreaterThan").map(|from| from["AWS:EpochTime"].as_i64());
            assert!(from.flatten().is_none_or(|from| from < now));
            assert!(condition.get("IpAddress").is_none() || address.is_ipv4());
        }
    }
}
