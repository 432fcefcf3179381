//! The signer of the edge and the verifier of the CDN, which share no code: a signed request is accepted exactly under
//! the conditions that were signed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use http::header::COOKIE;
use http::{HeaderMap, Uri};
use ipnet::Ipv4Net;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use streamio_edge::sign::cloudfront::{self, SignedPolicy};
use streamio_edge::sign::key::{HashAlgorithm, KeyKind, KeyPairs, PrivateKey};
use streamio_edge::sign::policy::{Policy, Resource};
use streamio_events::timestamp::Timestamp;
use streamio_local::cdn::authorize::{CredentialSource, Denied, ViewerRequest, authorize};
use streamio_local::cdn::{BaseUrl, TrustedKeys};

use crate::clock::NOW;

const BASE: &str = "http://127.0.0.1:8082";
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

static PAIRS: LazyLock<[KeyPairs; 2]> = LazyLock::new(|| {
    let keys = || {
        [("KRSA", KeyKind::Rsa2048), ("KP256", KeyKind::P256)]
            .map(|(id, kind)| (id.to_owned(), PrivateKey::generate(kind, [3; 32])))
    };
    ["KRSA", "KP256"].map(|active| KeyPairs::new(active, keys()).unwrap())
});

static TRUSTED: LazyLock<TrustedKeys> = LazyLock::new(|| {
    TrustedKeys::from_pem(PAIRS[0].public_keys().map(|(id, key)| (id, key.to_pem()))).unwrap()
});

fn sign(pairs: &KeyPairs, hash: HashAlgorithm, policy: Policy) -> SignedPolicy {
    futures::executor::block_on(cloudfront::sign(pairs, hash, policy)).unwrap()
}

fn url_of(key: &str) -> String {
    format!("{BASE}/{}", utf8_percent_encode(key, PATH))
}

fn decide(
    url: &str,
    cookies: Option<&SignedPolicy>,
    now: i64,
    viewer: Ipv4Addr,
) -> Result<CredentialSource, Denied> {
    let uri: Uri = url.parse().unwrap();
    let mut headers = HeaderMap::new();
    for cookie in cookies.map(SignedPolicy::cookies).unwrap_or_default() {
        headers.append(COOKIE, format!("{}={}", cookie.name, cookie.value).parse().unwrap());
    }
    let request = ViewerRequest {
        path: uri.path(),
        query: uri.query(),
        headers: &headers,
        address: IpAddr::V4(viewer),
    };
    let base = BaseUrl::parse(BASE).unwrap();
    authorize(&request, &base, &TRUSTED, Timestamp::from_unix_seconds(now)).map(|allowed| allowed.source)
}

/// A path with all kinds of characters.
fn key() -> impl Strategy<Value = String> {
    prop::collection::vec(r#"[a-zA-Z0-9 *?%+&=#"'()\\.~é漢-]{1,8}"#, 1..4).prop_map(|names| names.join("/"))
}

proptest! {
    #[test]
    fn a_canned_policy_of_the_edge_allows_its_url_until_it_expires(
        key in key(),
        pairs in 0..2_usize,
        sha256: bool,
        lifetime in 1..1000_i64,
        seconds_later in -1500..1500_i64,
    ) {
        let hash = if sha256 { HashAlgorithm::Sha256 } else { HashAlgorithm::Sha1 };
        let url = url_of(&key);
        let signed = sign(&PAIRS[pairs], hash, Policy::canned(&url, NOW + lifetime).unwrap());
        let expired = Denied::Expired { at: NOW + lifetime, now: NOW + seconds_later };
        let expected = |source| if seconds_later < lifetime { Ok(source) } else { Err(expired.clone()) };
        let by_url = signed.url_for(&url).unwrap().into_string();
        let viewer = Ipv4Addr::LOCALHOST;
        prop_assert_eq!(decide(&by_url, None, NOW + seconds_later, viewer), expected(CredentialSource::Url), "{}", &by_url);
        prop_assert_eq!(decide(&url, Some(&signed), NOW + seconds_later, viewer), expected(CredentialSource::Cookies), "{}", &url);
        let other = url_of(&format!("{key}x"));
        prop_assert_eq!(decide(&other, Some(&signed), NOW, viewer), Err(Denied::SignatureMismatch));
    }

    #[test]
    fn a_wildcard_policy_of_the_edge_allows_matching_urls_for_its_addresses_and_times(
        folder in key(),
        name in key(),
        pairs in 0..2_usize,
        sha256: bool,
        start in prop::option::of(-500..500_i64),
        network in prop::option::of(0..=32_u8),
        flipped_bit in 0..32_u32,
        seconds_later in -1000..1000_i64,
    ) {
        let hash = if sha256 { HashAlgorithm::Sha256 } else { HashAlgorithm::Sha1 };
        let resource = Resource::wildcard(&format!("{}.hls/*", url_of(&folder))).unwrap();
        let mut policy = Policy::custom(resource, NOW + 600).unwrap();
        if let Some(start) = start {
            policy = policy.starts_at(NOW + start).unwrap();
        }
        let allowed_address = Ipv4Addr::new(192, 0, 2, 77);
        if let Some(prefix) = network {
            policy = policy.source_ip(format!("{allowed_address}/{prefix}").parse().unwrap());
        }
        let viewer = Ipv4Addr::from(u32::from(allowed_address) ^ (0x8000_0000 >> flipped_bit));
        let signed = sign(&PAIRS[pairs], hash, policy);

        let expected = |source| {
            let now = NOW + seconds_later;
            if seconds_later >= 600 {
                Err(Denied::Expired { at: NOW + 600, now })
            } else if let Some(start) = start.filter(|start| seconds_later < *start) {
                Err(Denied::NotYetValid { from: NOW + start, now })
            } else if let Some(prefix) = network.filter(|prefix| flipped_bit < u32::from(*prefix)) {
                let covered = Ipv4Net::new(allowed_address, prefix).unwrap().trunc();
                Err(Denied::OtherAddress { covered, viewer: viewer.into() })
            } else {
                Ok(source)
            }
        };
        let url = format!("{}.hls/{}", url_of(&folder), utf8_percent_encode(&name, PATH));
        let by_url = signed.url_for(&url).unwrap().into_string();
        prop_assert_eq!(decide(&by_url, None, NOW + seconds_later, viewer), expected(CredentialSource::Url), "{}", &by_url);
        prop_assert_eq!(decide(&url, Some(&signed), NOW + seconds_later, viewer), expected(CredentialSource::Cookies), "{}", &url);

        let covered = format!("{}.hls/*", url_of(&folder));
        let outside = format!("{}?{}", url_of(&folder), signed.query());
        prop_assert_eq!(decide(&outside, None, NOW, allowed_address), Err(Denied::OtherResource { covered }), "{}", outside);
    }
}
