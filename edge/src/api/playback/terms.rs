use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Serialize;
use streamio_events::timestamp::Timestamp;

use crate::config::Lifetime;
use crate::request::Fields;
use crate::sign::policy::MAX_EXPIRES_AT;

/// When, for how long and from where a playback URL is valid.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Terms {
    /// In seconds.
    ttl: u32,
    /// In whole seconds, the resolution of policies.
    pub(super) starts_at: Option<Timestamp>,
    /// In CIDR form.
    pub(super) ip: Option<String>,
}

impl Terms {
    /// Takes the fields `ttl`, `startsAt` and `ip`.
    pub(super) fn take(fields: &mut Fields, bounds: Lifetime, now: Timestamp) -> Self {
        let ttl = fields.lifetime("ttl", bounds);
        let starts_at =
            fields.text("startsAt").and_then(|text| fields.checked("startsAt", whole_second(&text)));
        let ip = fields
            .text("ip")
            .and_then(|text| fields.checked("ip", network(&text)))
            .map(|network| network.to_string());
        let terms = Self { ttl, starts_at, ip };
        if terms.requested_expiry(now).unix_seconds() > MAX_EXPIRES_AT {
            let field = if starts_at.is_some() { "startsAt" } else { "ttl" };
            fields.refuse(
                field,
                "leads to an expiry after 2038-01-19T03:14:07Z, the latest that the CDN supports",
            );
        }
        terms
    }

    /// When the URL expires: `ttl` after now, or after its start if that is later, rounded up to a multiple of `bucket`
    /// seconds, but no later than [`MAX_EXPIRES_AT`]. In whole seconds.
    pub(super) fn expires_at(&self, now: Timestamp, bucket: u32) -> Timestamp {
        let requested = self.requested_expiry(now).unix_seconds();
        let bucket = i64::from(bucket.max(1));
        // The requested expiry is within the limit, so only the rounding is cut off.
        let rounded = requested.saturating_add(bucket - 1) / bucket * bucket;
        Timestamp::from_unix_seconds(rounded.min(MAX_EXPIRES_AT).max(requested))
    }

    /// In whole seconds.
    fn requested_expiry(&self, now: Timestamp) -> Timestamp {
        let start = Timestamp::from_unix_seconds(now.unix_seconds()).max(self.starts_at.unwrap_or_default());
        start.plus(Duration::from_secs(self.ttl.into()))
    }
}

fn whole_second(text: &str) -> Result<Timestamp, String> {
    let parsed: Timestamp = text.parse().map_err(|error| format!("is {error}"))?;
    match parsed.unix_seconds() {
        0 => {
            Err("must be later than 1970-01-01T00:00:00Z, the earliest time that the CDN supports".to_owned())
        }
        seconds => Ok(Timestamp::from_unix_seconds(seconds)),
    }
}

fn network(text: &str) -> Result<Ipv4Net, String> {
    if text.parse::<Ipv6Addr>().is_ok() || text.parse::<Ipv6Net>().is_ok() {
        return Err("must be an IPv4 address: the CDN's policies do not support IPv6".to_owned());
    }
    let network = match text.parse::<Ipv4Addr>() {
        Ok(address) => Ipv4Net::from(address),
        Err(_) => text.parse::<Ipv4Net>().map_err(|_| {
            "must be an IPv4 address or network such as 203.0.113.7 or 203.0.113.0/24".to_owned()
        })?,
    };
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(format!("has bits beyond its prefix: the network is {}", network.trunc()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(ttl: u32, starts_at: Option<i64>) -> Terms {
        Terms { ttl, starts_at: starts_at.map(Timestamp::from_unix_seconds), ip: None }
    }

    proptest! {
        #[test]
        fn an_expiry_is_the_next_multiple_of_the_bucket_and_never_beyond_the_cdns_limit(
            now in 0..=MAX_EXPIRES_AT,
            millis in 0..1_000_i64,
            starts_in in prop::option::of(-1_000..1_000_000_i64),
            ttl in 1..604_800_u32,
            bucket in 1..=3_600_u32,
        ) {
            let starts_at = starts_in.map(|wait| (now + wait).clamp(1, MAX_EXPIRES_AT));
            let requested = now.max(starts_at.unwrap_or_default()) + i64::from(ttl);
            prop_assume!(requested <= MAX_EXPIRES_AT);
            let terms = terms(ttl, starts_at);
            let at = |bucket| terms.expires_at(Timestamp::from_unix_millis(now * 1_000 + millis), bucket);
            let (expiry, bucket) = (at(bucket), i64::from(bucket));
            prop_assert_eq!(expiry.unix_millis() % 1_000, 0);
            let expiry = expiry.unix_seconds();
            prop_assert!(requested <= expiry && expiry < requested + bucket && expiry <= MAX_EXPIRES_AT);
            prop_assert!(expiry % bucket == 0 || expiry == MAX_EXPIRES_AT);
            prop_assert_eq!(at(1).unix_seconds(), requested);
        }
    }

    #[test]
    fn the_last_bucket_ends_at_the_cdns_limit() {
        let now = Timestamp::from_unix_seconds(MAX_EXPIRES_AT - 10);
        assert_eq!(terms(1, None).expires_at(now, 3_600).unix_seconds(), MAX_EXPIRES_AT);
        assert_eq!(terms(10, None).expires_at(now, 3_600).unix_seconds(), MAX_EXPIRES_AT);
    }

    #[test]
    fn an_address_is_a_network_of_one_and_a_network_has_no_host_bits() {
        assert_eq!(network("203.0.113.7").unwrap().to_string(), "203.0.113.7/32");
        assert_eq!(network("203.0.113.0/24").unwrap().to_string(), "203.0.113.0/24");
        assert_eq!(network("0.0.0.0/0").unwrap().to_string(), "0.0.0.0/0");
        assert_eq!(
            network("203.0.113.7/24").unwrap_err(),
            "has bits beyond its prefix: the network is 203.0.113.0/24"
        );
        assert!(network("::1").unwrap_err().contains("IPv6"));
        assert!(network("2001:db8::/32").unwrap_err().contains("IPv6"));
        for refused in [
            "",
            "203.0.113",
            "203.0.113.7/33",
            "203.0.113.07",
            "0x7f.0.0.1",
            "localhost",
            "1.2.3.4/",
            " 1.2.3.4",
            "1.2.3.4\n",
        ] {
            assert!(network(refused).is_err(), "{refused:?}");
        }
    }
}
