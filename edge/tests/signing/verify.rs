//! Verification: a URL signed by `cloudfront::sign` is valid exactly for its files, times and network; nothing else is.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use streamio_edge::sign::cloudfront;
use streamio_edge::sign::key::{HashAlgorithm, KeyPairs, PublicKey};
use streamio_edge::sign::policy::{Policy, Resource};
use streamio_edge::sign::verify::{VerificationError, Verified, verify};

use crate::cloudfront::{KEYS, PUBLIC_KEYS, PolicyParams, block_on, hashes, policy_params};

const URL: &str = "https://d111111abcdef8.cloudfront.net/processed/acme/clip.mp4";

fn verify_at(url: &str, at: i64, address: Option<IpAddr>) -> Result<Verified, VerificationError> {
    verify(url, |id| PUBLIC_KEYS.get(id), at, address)
}

fn signed(keys: &KeyPairs, hash: HashAlgorithm, policy: Policy, url: &str) -> String {
    block_on(cloudfront::sign(keys, hash, policy)).unwrap().url_for(url).unwrap().into_string()
}

/// A URL that the policy covers.
fn covered_url(params: &PolicyParams) -> String {
    params.url.replace('*', "segment.m4s")
}

fn allowed_address(params: &PolicyParams) -> Option<IpAddr> {
    params.source_ip.map(|network| network.network().into())
}

/// A URL with `policy`, which may be any text, signed by the P-256 key.
fn with_policy(policy: &str) -> String {
    let (id, key) = KEYS[1].active();
    let encode =
        |bytes: &[u8]| BASE64_STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~");
    let signature = encode(&key.sign(HashAlgorithm::Sha1, policy.as_bytes()));
    format!("{URL}?Policy={}&Signature={signature}&Key-Pair-Id={id}", encode(policy.as_bytes()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_signed_url_is_valid_from_its_start_to_its_expiry_within_its_network(
        params in policy_params(), hash in hashes(), which in 0..2_usize,
    ) {
        let url = signed(&KEYS[which], hash, params.policy(), &covered_url(&params));
        let start = params.starts_at.unwrap_or(0);
        let expected = Verified {
            key_pair_id: KEYS[which].active().0.to_owned(),
            hash,
            resource: params.url.clone(),
            expires_at: params.expires_at,
            starts_at: params.starts_at,
            source_ip: params.source_ip,
        };
        for at in [start, params.expires_at - 1] {
            prop_assert_eq!(verify_at(&url, at, allowed_address(&params)), Ok(expected.clone()));
        }
        prop_assert_eq!(verify_at(&url, params.expires_at, allowed_address(&params)), Err(VerificationError::Expired));
        if params.starts_at.is_some() {
            prop_assert_eq!(verify_at(&url, start - 1, allowed_address(&params)), Err(VerificationError::NotYetValid));
        }
        if let Some(network) = params.source_ip {
            prop_assert_eq!(verify_at(&url, start, None), Err(VerificationError::AddressNeeded));
            let v6 = "2001:db8::1".parse().unwrap();
            prop_assert_eq!(verify_at(&url, start, Some(v6)), Err(VerificationError::OtherAddress));
            let mapped = network.network().to_ipv6_mapped().into();
            prop_assert!(verify_at(&url, start, Some(mapped)).is_ok());
            if network.prefix_len() > 0 {
                let outside = Ipv4Addr::from(u32::from(network.network()) ^ (1 << 31));
                prop_assert_eq!(verify_at(&url, start, Some(outside.into())), Err(VerificationError::OtherAddress));
            }
        } else {
            prop_assert!(verify_at(&url, start, None).is_ok());
        }
    }

    #[test]
    fn a_changed_byte_makes_a_signed_url_invalid_unless_a_wildcard_matches_it(
        params in policy_params(), hash in hashes(), which in 0..2_usize, at: prop::sample::Index, byte in b' '..=b'~',
    ) {
        let url = signed(&KEYS[which], hash, params.policy(), &covered_url(&params));
        let mut changed = url.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        let verdict = verify_at(&changed, params.starts_at.unwrap_or(0), allowed_address(&params));
        // In a custom policy `?` matches any character; in a pattern `*` matches any text.
        let may_differ = params.is_pattern || (!params.is_canned() && params.url.contains('?'));
        if may_differ && at < url.len() - url.split("Policy=").last().unwrap().len() {
            if let Ok(verified) = verdict {
                prop_assert_eq!(verified.resource, params.url, "{}", changed);
            }
        } else {
            prop_assert!(verdict.is_err(), "{} {}", url, changed);
        }
    }

    #[test]
    fn a_missing_or_repeated_parameter_makes_a_signed_url_invalid(
        params in policy_params(), hash in hashes(), which in 0..2_usize, at: prop::sample::Index,
    ) {
        let url = signed(&KEYS[which], hash, params.policy(), &covered_url(&params));
        let bare = covered_url(&params);
        let query = &url[bare.len() + 1..];
        let parameters: Vec<&str> = query.split('&').collect();
        let at = at.index(parameters.len());
        let separator = &url[bare.len()..=bare.len()];
        let mut fewer = parameters.clone();
        fewer.remove(at);
        let fewer = format!("{bare}{separator}{}", fewer.join("&"));
        prop_assert!(verify_at(&fewer, params.starts_at.unwrap_or(0), allowed_address(&params)).is_err());
        let more = format!("{url}&{}", parameters[at]);
        prop_assert!(matches!(verify_at(&more, 1, allowed_address(&params)), Err(VerificationError::Malformed(_))));
    }

    #[test]
    fn any_text_is_verified_or_refused_without_a_panic(text in prop_oneof![
        any::<String>(),
        "https://cdn\\.example/(a|\\*)\\?(Expires|Policy)=[0-9A-Za-z~_-]{0,12}(&(Signature|Key-Pair-Id|Hash-Algorithm)=[0-9A-Za-z~_-]{0,12}){0,4}",
    ]) {
        prop_assert!(verify_at(&text, 1, None).is_err());
    }
}

#[test]
fn the_parameters_may_be_anywhere_in_the_query() {
    let own = format!("{URL}?a=b&c=d");
    let url = signed(&KEYS[1], HashAlgorithm::Sha256, Policy::canned(&own, 100).unwrap(), &own);
    let query = url.strip_prefix(&format!("{own}&")).unwrap();
    for (query, valid) in [
        (format!("a=b&c=d&{query}"), true),
        (format!("{query}&a=b&c=d"), true),
        (format!("a=b&{query}&c=d"), true),
        (format!("c=d&{query}&a=b"), false),
        (format!("a=b&{query}"), false),
        (format!("a=b&c=d&{query}&e=f"), false),
        (format!("&a=b&c=d&{query}"), false),
        (format!("a=b&c=d&&{query}"), false),
        (format!("a=b&c=d&{query}&"), false),
    ] {
        assert_eq!(verify_at(&format!("{URL}?{query}"), 1, None).is_ok(), valid, "{query}");
    }
}

#[test]
fn an_empty_query_is_part_of_the_url() {
    let own = format!("{URL}?");
    let url = signed(&KEYS[1], HashAlgorithm::Sha256, Policy::canned(&own, 100).unwrap(), &own);
    assert!(verify_at(&url, 1, None).is_ok(), "{url}");
    assert_eq!(verify_at(&url.replace("?&", "?"), 1, None), Err(VerificationError::Signature));
}

#[test]
fn the_error_states_what_is_wrong_with_a_url() {
    let url = signed(&KEYS[1], HashAlgorithm::Sha256, Policy::canned(URL, 100).unwrap(), URL);
    let verdict = |from: &str, to: &str| verify_at(&url.replace(from, to), 1, None).unwrap_err();
    assert_eq!(verify_at(URL, 1, None), Err(VerificationError::NotSigned));
    assert_eq!(verify_at("", 1, None), Err(VerificationError::NotSigned));
    assert_eq!(verdict("Key-Pair-Id=KEC", "Key-Pair-Id=K9"), VerificationError::UnknownKeyPair);
    assert_eq!(verdict("Key-Pair-Id=KEC", "Key-Pair-Id=KRSA"), VerificationError::Signature);
    assert_eq!(verdict("SHA256", "SHA1"), VerificationError::Signature);
    assert_eq!(verdict("Expires=100", "Expires=101"), VerificationError::Signature);
    assert_eq!(verdict("clip.mp4", "clop.mp4"), VerificationError::Signature);
    for (from, to, part) in [
        ("SHA256", "MD5", "Hash-Algorithm"),
        ("Expires=100", "Expires=0100", "Expires"),
        ("Expires=100", "Expires=+100", "Expires"),
        ("Expires=100", "Expires=", "Expires"),
        ("Expires=100", "Expires=9999999999", "expiry"),
        ("Expires=100", "Expires=100&Policy=AA__", "Expires and Policy"),
        ("Signature=", "Signature=*", "Signature"),
        ("Signature=", "Signatur=", "Signature"),
        ("Key-Pair-Id", "Key-Pair", "Key-Pair-Id"),
    ] {
        let VerificationError::Malformed(reason) = verdict(from, to) else { panic!("{from} {to}") };
        assert!(reason.contains(part), "{from} {to}: {reason}");
    }
    assert!(matches!(verdict("clip.mp4", "clip mp4"), VerificationError::Url(_)));
    let keys: BTreeMap<String, PublicKey> = BTreeMap::new();
    assert_eq!(verify(&url, |id| keys.get(id), 1, None), Err(VerificationError::UnknownKeyPair));
}

#[test]
fn a_policy_without_the_documented_form_is_refused() {
    let policy =
        |condition: &str| format!(r#"{{"Statement":[{{"Resource":"{URL}","Condition":{{{condition}}}}}]}}"#);
    let until = r#""DateLessThan":{"AWS:EpochTime":100}"#;
    for accepted in [
        policy(until),
        policy(until).replace(URL, "*"),
        policy(until).replace(URL, "http*://*.cloudfront.net/processed/*"),
        policy(until).replace(':', " : "),
        policy(&format!(r#"{until},"IpAddress":{{"AWS:SourceIp":"192.0.2.1"}}"#)),
    ] {
        // Undo the white space inside strings, which would change their meaning.
        let accepted =
            accepted.replace("https : ", "https:").replace("AWS : ", "AWS:").replace("http* : ", "http*:");
        let address = "192.0.2.1".parse().unwrap();
        assert!(verify_at(&with_policy(&accepted), 1, Some(address)).is_ok(), "{accepted}");
    }
    for refused in [
        "{}".to_owned(),
        policy(""),
        policy(r#""DateLessThan":{"AWS:EpochTime":"100"}"#),
        policy(r#""DateLessThan":{"AWS:EpochTime":100.5}"#),
        policy(r#""DateLessThan":{"AWS:EpochTime":-1}"#),
        policy(&format!("{until},{until}")),
        policy(&format!(r#"{until},"DateGreaterThan":null"#)),
        policy(&format!(r#"{until},"IpAddress":{{"AWS:SourceIp":"2001:db8::/32"}}"#)),
        policy(&format!(r#"{until},"StringEquals":{{}}"#)),
        policy(r#""DateLessThan":{"AWS:EpochTime":2147483648}"#),
        policy(&format!(r#"{until},"DateGreaterThan":{{"AWS:EpochTime":2147483648}}"#)),
        policy(r#""DateLessThan":[100]"#),
        policy(&format!(r#"{until},"IpAddress":["192.0.2.1/32"]"#)),
        format!(r#"{{"Statement":[["{URL}",{{{until}}}]]}}"#),
        format!(r#"[[{{"Resource":"{URL}","Condition":{{{until}}}}}]]"#),
        policy(until).replace(URL, "h*"),
        policy(until).replace("}]}", "},{}]}"),
        policy(until) + " x",
    ] {
        let verdict = verify_at(&with_policy(&refused), 1, None);
        assert!(matches!(verdict, Err(VerificationError::Malformed(_))), "{refused}: {verdict:?}");
    }
    assert_eq!(
        verify_at(&with_policy(&policy(until).replace("clip", "other")), 1, None),
        Err(VerificationError::NotCovered)
    );
}

#[test]
fn one_signature_of_a_stream_is_valid_for_its_files_and_no_others() {
    let files = Resource::wildcard("https://cdn.example/processed/acme/clip.mov.hls/*").unwrap();
    let signed =
        block_on(cloudfront::sign(&KEYS[0], HashAlgorithm::Sha1, Policy::custom(files, 100).unwrap()))
            .unwrap();
    let verify_path =
        |path: &str| verify_at(&format!("https://cdn.example/processed/{path}?{}", signed.query()), 1, None);
    assert!(verify_path("acme/clip.mov.hls/g1-a1/1.m4s").is_ok());
    assert_eq!(verify_path("acme/clip.mov"), Err(VerificationError::NotCovered));
    assert_eq!(verify_path("other/clip.mov.hls/master.m3u8"), Err(VerificationError::NotCovered));
}
