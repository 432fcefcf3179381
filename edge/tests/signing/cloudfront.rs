//! CloudFront: every signature verifies, its policy states exactly the requested conditions, and nothing else verifies.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ipnet::Ipv4Net;
use proptest::prelude::*;
use serde_json::{Value, json};
use streamio_edge::sign::cloudfront::{self, SignedPolicy};
use streamio_edge::sign::key::{HashAlgorithm, KeyKind, KeyPairs, PrivateKey, PublicKey};
use streamio_edge::sign::policy::{InvalidUrl, MAX_EXPIRES_AT, Policy, Resource};

use crate::encoding::percent;

const HOST: &str = "https://d111111abcdef8.cloudfront.net";

/// One key of each kind. The RSA key is active in the first set, the P-256 key in the second.
pub(crate) static KEYS: LazyLock<[KeyPairs; 2]> = LazyLock::new(|| {
    let pair = |kind, id: &str| (id.to_owned(), PrivateKey::generate(kind, [3; 32]));
    let pairs = || [pair(KeyKind::Rsa2048, "KRSA"), pair(KeyKind::P256, "KEC")];
    ["KRSA", "KEC"].map(|active| KeyPairs::new(active, pairs()).unwrap())
});

pub(crate) static PUBLIC_KEYS: LazyLock<BTreeMap<&'static str, PublicKey>> =
    LazyLock::new(|| KEYS[0].public_keys().collect());

/// The parameters of a policy.
#[derive(Debug, Clone)]
pub(crate) struct PolicyParams {
    pub(crate) url: String,
    pub(crate) expires_at: i64,
    pub(crate) starts_at: Option<i64>,
    pub(crate) source_ip: Option<Ipv4Net>,
    pub(crate) is_pattern: bool,
}

impl PolicyParams {
    pub(crate) fn policy(&self) -> Policy {
        let mut policy = if self.is_pattern {
            Policy::custom(Resource::wildcard(&self.url).unwrap(), self.expires_at).unwrap()
        } else {
            Policy::canned(&self.url, self.expires_at).unwrap()
        };
        if let Some(starts_at) = self.starts_at {
            policy = policy.starts_at(starts_at).unwrap();
        }
        match self.source_ip {
            Some(network) => policy.source_ip(network),
            None => policy,
        }
    }

    pub(crate) fn is_canned(&self) -> bool {
        !self.is_pattern && self.starts_at.is_none() && self.source_ip.is_none()
    }

    fn as_json(&self) -> Value {
        let mut condition = json!({"DateLessThan": {"AWS:EpochTime": self.expires_at}});
        if let Some(starts_at) = self.starts_at {
            condition["DateGreaterThan"] = json!({"AWS:EpochTime": starts_at});
        }
        if let Some(network) = self.source_ip {
            let cidr = format!("{}/{}", network.network(), network.prefix_len());
            condition["IpAddress"] = json!({"AWS:SourceIp": cidr});
        }
        json!({"Statement": [{"Resource": self.url, "Condition": condition}]})
    }
}

/// URLs with paths and queries in the encoding of JavaScript's `encodeURIComponent`: AWS's signer for Node converts paths
/// to that encoding first.
pub(crate) fn urls() -> impl Strategy<Value = String> {
    let text = |kept: &'static str| {
        let text = prop_oneof![
            any::<String>().prop_map(|text| text.chars().take(20).collect::<String>()),
            "[ -~]{1,20}".prop_map(String::from),
            Just("..".to_owned()),
        ];
        text.prop_map(move |text| percent(&text, kept))
    };
    let origin =
        prop::sample::select(vec![HOST, "http://127.0.0.1:8080", "https://[::1]:8443", "http://cdn.example"]);
    let path = prop::collection::vec(text("-_.!~'()"), 0..6).prop_map(|segments| segments.join("/"));
    let pair = (text("-_.!~()"), text("-_.!~()+"))
        .prop_filter("an empty name", |(name, _)| !name.is_empty())
        .prop_map(|(name, value)| format!("q{name}={value}"));
    let query = prop_oneof![
        2 => Just(String::new()),
        1 => prop::collection::vec(pair, 1..4).prop_map(|pairs| format!("?{}", pairs.join("&"))),
    ];
    (origin, path, query).prop_map(|(origin, path, query)| format!("{origin}/{path}{query}"))
}

pub(crate) fn policy_params() -> impl Strategy<Value = PolicyParams> {
    let networks = (any::<[u8; 4]>(), 0..=32_u8)
        .prop_map(|(address, length)| Ipv4Net::new(address.into(), length).unwrap().trunc());
    let times =
        (2..=MAX_EXPIRES_AT).prop_flat_map(|expires_at| (Just(expires_at), prop::option::of(1..expires_at)));
    (urls(), times, prop::option::of(networks), any::<bool>()).prop_map(
        |(url, (expires_at, starts_at), source_ip, is_pattern)| {
            // In a pattern, the "?" of a query would be a wildcard, so patterns have no query.
            let url = if is_pattern { url.split('?').next().unwrap().to_owned() + "*" } else { url };
            PolicyParams { url, expires_at, starts_at, source_ip, is_pattern }
        },
    )
}

pub(crate) fn hashes() -> impl Strategy<Value = HashAlgorithm> {
    prop::sample::select(vec![HashAlgorithm::Sha1, HashAlgorithm::Sha256])
}

/// Runs a future to completion.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn signed(keys: &KeyPairs, hash: HashAlgorithm, policy: Policy) -> SignedPolicy {
    block_on(cloudfront::sign(keys, hash, policy)).unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-~_".contains(&byte)), "{text}");
    BASE64_STANDARD.decode(text.replace('-', "+").replace('_', "=").replace('~', "/")).unwrap()
}

/// Returns the policy's text and whether its signature is valid.
fn verify_parameters(parameters: &[(&str, &str)], url: &str) -> (String, bool) {
    let get = |name: &str| parameters.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    let policy = match (get("Policy"), get("Expires")) {
        (Some(policy), None) => String::from_utf8(decode(policy)).unwrap(),
        (None, Some(expires)) => format!(
            r#"{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}}}]}}"#
        ),
        both => panic!("expected one of Policy and Expires, not {both:?}"),
    };
    let hash = match get("Hash-Algorithm") {
        None => HashAlgorithm::Sha1,
        Some("SHA256") => HashAlgorithm::Sha256,
        Some(other) => panic!("{other}"),
    };
    let key = &PUBLIC_KEYS[get("Key-Pair-Id").unwrap()];
    let is_valid = key.verify(hash, policy.as_bytes(), &decode(get("Signature").unwrap()));
    (policy, is_valid)
}

fn pairs(query: &str) -> Vec<(&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_signed_url_verifies_and_its_policy_has_the_requested_conditions(params in policy_params(), hash in hashes(), which in 0..2_usize) {
        let signed = signed(&KEYS[which], hash, params.policy());
        let url = params.url.replace('*', "segment.m4s");
        let signed_url = signed.url_for(&url).unwrap().into_string();
        let own_query = url.contains('?');
        let query = signed_url.strip_prefix(&url).unwrap().strip_prefix(if own_query { '&' } else { '?' }).unwrap();
        prop_assert_eq!(query, signed.query());

        let parameters = pairs(query);
        let names: Vec<_> = parameters.iter().map(|(name, _)| *name).collect();
        let mut documented = vec![if params.is_canned() { "Expires" } else { "Policy" }, "Signature", "Key-Pair-Id"];
        if hash == HashAlgorithm::Sha256 {
            documented.push("Hash-Algorithm");
        }
        prop_assert_eq!(names, documented);

        let (policy, is_valid) = verify_parameters(&parameters, &params.url);
        prop_assert!(is_valid);
        prop_assert!(!policy.contains(char::is_whitespace));
        prop_assert_eq!(serde_json::from_str::<Value>(&policy).unwrap(), params.as_json());
    }

    #[test]
    fn signed_cookies_carry_the_same_permission_as_the_signed_url(params in policy_params(), hash in hashes(), which in 0..2_usize) {
        let signed = signed(&KEYS[which], hash, params.policy());
        let cookies = signed.cookies();
        let cookies: Vec<_> = cookies
            .iter()
            .map(|cookie| (cookie.name.strip_prefix("CloudFront-").unwrap(), cookie.value.as_str()))
            .collect();
        let query = signed.query();
        prop_assert_eq!(cookies, pairs(&query));
    }

    #[test]
    fn no_other_text_key_or_hash_verifies(
        params in policy_params(), hash in hashes(), which in 0..2_usize, at: prop::sample::Index, change in 1..=255_u8,
    ) {
        let key = KEYS[which].active().1;
        let policy = params.policy().to_json().into_bytes();
        let signature = key.sign(hash, &policy);
        let other_hash = if hash == HashAlgorithm::Sha1 { HashAlgorithm::Sha256 } else { HashAlgorithm::Sha1 };
        let mut other_policy = policy.clone();
        other_policy[at.index(policy.len())] ^= change;
        let mut other_signature = signature.clone();
        other_signature[at.index(signature.len())] ^= change;
        let other_key = PrivateKey::generate(KeyKind::P256, [9; 32]).public_key();

        let public = key.public_key();
        prop_assert!(public.verify(hash, &policy, &signature));
        prop_assert!(!public.verify(hash, &other_policy, &signature));
        prop_assert!(!public.verify(hash, &policy, &other_signature));
        prop_assert!(!public.verify(other_hash, &policy, &signature));
        prop_assert!(!other_key.verify(hash, &policy, &signature));
    }

    #[test]
    fn no_url_can_inject_json_into_the_policy(url in prop_oneof![
        any::<String>(),
        any::<String>().prop_map(|text| format!("{HOST}/{text}")),
        "[ -~]{0,40}".prop_map(|text| format!("{HOST}/{text}")),
        prop::sample::select(vec![
            r#"","Condition":{}},{"Resource":"*"#, r"\", "\\u0022", "\u{2028}", "\n", "\0", "é", "\u{feff}", "<", "|", "`",
        ]).prop_map(|text| format!("{HOST}/a{text}b")),
    ]) {
        for policy in [
            Policy::canned(&url, 1_767_323_045),
            Resource::exact(&url).map_err(Into::into).and_then(|resource| Policy::custom(resource, 1_767_323_045)),
            Resource::wildcard(&url).map_err(Into::into).and_then(|resource| Policy::custom(resource, 1_767_323_045)),
        ].into_iter().flatten() {
            let expected = json!({"Statement": [{"Resource": url, "Condition": {"DateLessThan": {"AWS:EpochTime": 1_767_323_045}}}]});
            prop_assert_eq!(serde_json::from_str::<Value>(&policy.to_json()).unwrap(), expected);
        }
    }
}

#[test]
fn urls_that_are_invalid_in_a_policy_are_refused_with_the_reason() {
    let exact = |path: &str| Resource::exact(&format!("{HOST}{path}")).map(|_| ()).unwrap_err();
    let position = HOST.len() + 2;
    for character in
        ['"', '\\', ' ', '\n', '\0', '\u{7f}', 'é', '<', '>', '{', '}', '|', '^', '`', '\u{2028}']
    {
        assert_eq!(exact(&format!("/a{character}b")), InvalidUrl::Character { character, position });
    }
    for path in ["/a%", "/a%2", "/a%2g", "/a%%20"] {
        assert_eq!(exact(path), InvalidUrl::PercentEncoding { position });
    }
    for name in ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"] {
        for query in [
            name.to_owned(),
            format!("{name}=1"),
            format!("a=b&{name}="),
            name.replace('e', "%65").replace('i', "%69"),
        ] {
            assert_eq!(exact(&format!("/a?{query}")), InvalidUrl::ReservedParameter { name });
        }
    }
    assert_eq!(exact("/a#b"), InvalidUrl::Fragment);
    assert_eq!(exact("/*"), InvalidUrl::WildcardInExactUrl);
    assert_eq!(exact("/a?b=*"), InvalidUrl::WildcardInExactUrl);
    for url in [
        "",
        "/a",
        "cdn.example/a",
        "ftp://cdn.example/a",
        "HTTPS://cdn.example/a",
        "https://cdn.example",
        "https:///a",
        "https://a?b/c",
    ] {
        assert_eq!(Resource::exact(url), Err(InvalidUrl::NotAbsolute), "{url}");
    }
    assert_eq!(Resource::exact("https://user@cdn.example/a"), Err(InvalidUrl::UserInfo));
    for pattern in ["https://*/a", "https://*.cdn.example/a"] {
        assert_eq!(Resource::wildcard(pattern), Err(InvalidUrl::WildcardInHost), "{pattern}");
    }
    assert_eq!(Resource::wildcard("*"), Err(InvalidUrl::NotAbsolute));
    for allowed in ["/", "/a", "/a%2A", "/%e2%82%ac", "/a?b=c&d", "/-._~:@!$&'()+,;=[]"] {
        assert!(Resource::exact(&format!("{HOST}{allowed}")).is_ok(), "{allowed}");
    }
}

/// Rules and examples from AWS's documentation of custom policies.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html>
#[test]
fn a_wildcard_covers_the_documented_examples() {
    let covers = |pattern: &str, path: &str| {
        Resource::wildcard(&format!("{HOST}{pattern}")).unwrap().covers(&format!("{HOST}{path}"))
    };
    assert!(covers("/*game_download.zip*", "/game_download.zip"));
    assert!(covers("/*game_download.zip*", "/example_game_download.zip?license=yes"));
    assert!(covers("/*game_download.zip*", "/test_game_download.zip?license=temp"));
    assert!(covers("/hello*world", "/helloworld"));
    assert!(covers("/hello*world", "/hello-world"));
    assert!(!covers("/hello*world", "/hello?world"), "a wildcard before the end does not match the `?`");
    assert!(covers("/hello*", "/hello?world"), "a trailing wildcard covers the query");
    assert!(covers("/training/*", "/training/a/b.mp4"));
    assert!(!covers("/training/*", "/training"));
    assert!(!covers("/training/*", "/Training/a"));
    assert!(covers("/a?c", "/abc") && !covers("/a?c", "/ac") && !covers("/a?c", "/abbc"));
    assert!(covers("/a*b*c", "/a-b-b-c") && !covers("/a*b*c", "/a-b-b-d"));
    let elsewhere = "https://other.example/training/a";
    assert!(!Resource::wildcard(&format!("{HOST}/training/*")).unwrap().covers(elsewhere));
}

#[test]
fn a_url_outside_the_policy_is_not_signed() {
    let exact = signed(&KEYS[1], HashAlgorithm::Sha1, Policy::canned(&format!("{HOST}/a.mp4"), 100).unwrap());
    let files = Resource::wildcard(&format!("{HOST}/processed/acme/clip.mov.hls/*")).unwrap();
    let files = signed(&KEYS[1], HashAlgorithm::Sha1, Policy::custom(files, 100).unwrap());
    assert!(exact.url_for(&format!("{HOST}/a.mp4")).is_ok());
    assert!(files.url_for(&format!("{HOST}/processed/acme/clip.mov.hls/master.m3u8")).is_ok());
    for url in [
        "/a.mp4?b=c",
        "/a.mp44",
        "/processed/other/clip.mov.hls/master.m3u8",
        "/processed/acme/clip.mov.images/poster.jpg",
    ] {
        let url = format!("{HOST}{url}");
        assert_eq!(exact.url_for(&url), Err(InvalidUrl::NotCovered));
        assert_eq!(files.url_for(&url), Err(InvalidUrl::NotCovered));
    }
    let inside = |end: &str| files.url_for(&format!("{HOST}/processed/acme/clip.mov.hls/{end}")).map(|_| ());
    assert_eq!(inside("a?b=c"), Ok(()));
    assert_eq!(inside("a#b"), Err(InvalidUrl::Fragment));
    assert_eq!(inside("a?Policy=b"), Err(InvalidUrl::ReservedParameter { name: "Policy" }));
    assert!(matches!(inside("a\"b"), Err(InvalidUrl::Character { character: '"', .. })));
}

#[test]
fn debug_shows_neither_signature_nor_policy_text() {
    let signed = signed(
        &KEYS[1],
        HashAlgorithm::Sha256,
        Policy::custom(Resource::exact(&format!("{HOST}/a")).unwrap(), 100).unwrap(),
    );
    let url = signed.url_for(&format!("{HOST}/a")).unwrap();
    let shown = format!("{signed:?} {url:?} {:?}", signed.cookies());
    for (_, secret) in
        pairs(&signed.query()).into_iter().filter(|(name, _)| ["Policy", "Signature"].contains(name))
    {
        assert!(!shown.contains(secret), "{shown}");
    }
}
