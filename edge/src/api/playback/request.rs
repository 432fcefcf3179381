use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Serialize;
use streamio_events::id::ProjectId;
use streamio_events::nfc::to_nfc;
use streamio_events::object_key::ProcessedKey;
use streamio_events::timestamp::Timestamp;

use super::target::{Format, Target};
use crate::config::Lifetime;
use crate::problem::{Problem, ProblemKind};
use crate::request::{Fields, Query};
use crate::sign::policy::MAX_EXPIRES_AT;

/// A validated request to `POST /playback-url`. Two requests are the same if they serialize alike.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct PlaybackRequest {
    pub(super) key: ProcessedKey,
    pub(super) target: Target,
    /// In seconds.
    ttl: u32,
    /// In whole seconds, the resolution of policies.
    pub(super) starts_at: Option<Timestamp>,
    /// In CIDR form.
    pub(super) ip: Option<String>,
}

impl PlaybackRequest {
    pub(super) fn read(
        mut query: Query,
        mut fields: Fields,
        project_id: &ProjectId,
        bounds: Lifetime,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let key = query.take("key");
        query.finish()?;
        let key = own_key(key.as_deref(), project_id)?;

        let ttl = fields.lifetime("ttl", bounds);
        let starts_at =
            fields.text("startsAt").and_then(|text| fields.checked("startsAt", whole_second(&text)));
        let ip = fields
            .text("ip")
            .and_then(|text| fields.checked("ip", network(&text)))
            .map(|network| network.to_string());
        let format = fields.text("format").and_then(|text| fields.checked("format", format_named(&text)));
        let target = fields.checked("format", Target::of(&key, format));
        let request = target.map(|target| Self { key, target, ttl, starts_at, ip });
        if request
            .as_ref()
            .is_some_and(|request| request.requested_expiry(now).unix_seconds() > MAX_EXPIRES_AT)
        {
            let field = if starts_at.is_some() { "startsAt" } else { "ttl" };
            fields.refuse(
                field,
                "leads to an expiry after 2038-01-19T03:14:07Z, the latest that the CDN supports",
            );
        }
        fields.finish()?;
        request.ok_or_else(|| Problem::internal("a format without a target was not refused"))
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

/// The key in NFC, the form of all keys, if it is a key of this project.
fn own_key(key: Option<&str>, project_id: &ProjectId) -> Result<ProcessedKey, Problem> {
    let own_prefix = format!("processed/{project_id}/");
    let Some(key) = key else {
        return Err(Problem::parameter(
            "key",
            format!("is missing: give an object key that begins with `{own_prefix}`"),
        ));
    };
    let parsed = to_nfc(key).parse::<ProcessedKey>();
    if parsed.as_ref().is_ok_and(|key| key.project_id() != project_id) {
        let detail = format!("is not of your project: its keys begin with `{own_prefix}`");
        return Err(Problem::at_field(ProblemKind::ForbiddenKey, "key", detail));
    }
    parsed.map_err(|error| Problem::parameter("key", error.to_string()))
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

fn format_named(text: &str) -> Result<Format, &'static str> {
    match text {
        "mp4" => Ok(Format::Mp4),
        "hls" => Ok(Format::Hls),
        _ => Err("must be mp4 or hls"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(ttl: u32, starts_at: Option<i64>) -> PlaybackRequest {
        let key: ProcessedKey = "processed/acme/a.mp4".parse().unwrap();
        let target = Target::of(&key, None).unwrap();
        PlaybackRequest { key, target, ttl, starts_at: starts_at.map(Timestamp::from_unix_seconds), ip: None }
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
            let request = request(ttl, starts_at);
            let at = |bucket| request.expires_at(Timestamp::from_unix_millis(now * 1_000 + millis), bucket);
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
        assert_eq!(request(1, None).expires_at(now, 3_600).unix_seconds(), MAX_EXPIRES_AT);
        assert_eq!(request(10, None).expires_at(now, 3_600).unix_seconds(), MAX_EXPIRES_AT);
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
