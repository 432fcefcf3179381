//! The limits of requests: by API key, by project, and of failed authentications by address.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use streamio_events::id::{KeyId, ProjectId};
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use crate::config::RateLimits;
use crate::problem::{Problem, ProblemKind};
use crate::rate_limit::{RateLimit, RateLimiter, ascii};
use crate::request::api_key;

/// Counts requests and failed authentications.
pub(crate) struct RequestLimits {
    keys: RateLimiter<KeyId>,
    projects: RateLimiter<ProjectId>,
    /// By the address, or its network.
    failed_authentications: RateLimiter<IpAddr>,
    /// The policies of keys and projects, and of failed authentications.
    policies: [HeaderValue; 2],
}

/// The headers of a response to a request that was counted, and why the request is refused, if it is.
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
pub(crate) struct Counted {
    /// The value of `RateLimit-Policy`: all quotas.
    pub(crate) policy: HeaderValue,
    /// The value of `RateLimit`: the quota of which the least remains.
    pub(crate) status: HeaderValue,
    pub(crate) refused: Option<Problem>,
}

impl RequestLimits {
    pub(crate) fn new(limits: RateLimits) -> Self {
        let RateLimits { window_seconds, tracked, .. } = limits;
        let limit = |quota| RateLimit { quota, window_seconds, tracked };
        let keys = RateLimiter::new("key", limit(limits.key));
        let projects = RateLimiter::new("project", limit(limits.project));
        let failed_authentications =
            RateLimiter::new("failed-authentications", limit(limits.failed_authentications));
        let policies =
            [ascii(&[keys.policy(), projects.policy()].join(", ")), ascii(&failed_authentications.policy())];
        Self { keys, projects, failed_authentications, policies }
    }

    /// Counts a request with a key of `tenant`.
    pub(crate) fn count(&self, tenant: &Tenant, now: Timestamp) -> Counted {
        let [policy, _] = self.policies.clone();
        let key = self.keys.count(&tenant.key_id, now);
        if let Some(wait) = key.refused_for {
            let refused = Some(refused("This API key may send the next request", wait));
            return Counted { policy, status: self.keys.field(key), refused };
        }
        let project = self.projects.count(&tenant.project_id, now);
        let refused = project
            .refused_for
            .map(|wait| refused("The project of this API key may send the next request", wait));
        let status = if refused.is_some() || project.remaining < key.remaining {
            self.projects.field(project)
        } else {
            self.keys.field(key)
        };
        Counted { policy, status, refused }
    }

    /// The refusal of a request from an address with too many failed authentications, unless its key was accepted recently. `None`
    /// also without an address.
    pub(crate) fn refuse_address(
        &self,
        address: Option<IpAddr>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Option<Counted> {
        let status = self.failed_authentications.check(&network(address?), now);
        let wait = status.refused_for?;
        if api_key(headers).is_ok_and(|key| self.keys.tracks(&key.hash().key_id())) {
            return None;
        }
        let advice = "Too many requests from this address had no valid API key. Check the key, and send the next request";
        let [_, policy] = self.policies.clone();
        let status = self.failed_authentications.field(status);
        Some(Counted { policy, status, refused: Some(refused(advice, wait)) })
    }

    /// Counts a failed authentication.
    pub(crate) fn count_failed_authentication(&self, address: Option<IpAddr>, now: Timestamp) {
        if let Some(address) = address {
            self.failed_authentications.count(&network(address), now);
        }
    }
}

fn refused(what: &str, wait: Duration) -> Problem {
    let detail = format!("{what} in {:.1} seconds.", wait.as_secs_f64());
    Problem::new(ProblemKind::RateLimited, detail).retry_after(wait)
}

/// What is counted together: an IPv4 address, or the first 64 bits of an IPv6 address, of which one host can use all others.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_network_are_counted_together() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}
