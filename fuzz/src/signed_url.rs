//! CloudFront's signed URLs and cookies: the verification of the edge and of the CDN, which share no code.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use streamio_edge::sign::key::{HashAlgorithm, KeyKind, PrivateKey, PublicKey};
use streamio_edge::sign::verify::verify;
use streamio_events::timestamp::Timestamp;
use streamio_local::cdn::authorize::{ViewerRequest, authorize};
use streamio_local::cdn::{BaseUrl, TrustedKeys};

use crate::text;

const ID: &str = "K2JCJMDEHXQW5F";
const BASE: &str = "https://cdn.example";
const NOW: i64 = 1_000;
const VIEWER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

struct Keys {
    private: PrivateKey,
    public: PublicKey,
    trusted: TrustedKeys,
    base: BaseUrl,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let private = PrivateKey::generate(KeyKind::P256, [7; 32]);
    let public = private.public_key();
    let trusted = TrustedKeys::from_pem([(ID, public.to_pem())]).expect("the key is valid");
    Keys { private, public, trusted, base: BaseUrl::parse(BASE).expect("it is a base URL") }
});

/// What the edge accepts, the CDN accepts: the edge's parser is the stricter one. Nothing is accepted with a signature that was not made.
/// The first line is a path with a query, the second the `Cookie` header, the rest a policy, which is signed if it is JSON.
pub fn check(data: &[u8]) {
    let ([target, cookies], policy) = text::lines(data);
    let Some(target) = text::of(target).filter(|target| target.starts_with('/')) else { return };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(cookies) {
        headers.insert(COOKIE, value);
    }
    assert!(!is_allowed(target, &headers), "no signature was made: {target:?}");
    assert!(!is_verified(target), "no signature was made: {target:?}");
    if serde_json::from_slice::<serde_json::Value>(policy).is_ok() {
        let signature = KEYS.private.sign(HashAlgorithm::Sha256, policy);
        let separator = if target.contains('?') { '&' } else { '?' };
        let (encoded, signature) = (encode(policy), encode(&signature));
        let signed = format!(
            "{target}{separator}Policy={encoded}&Signature={signature}&Key-Pair-Id={ID}&Hash-Algorithm=SHA256"
        );
        if is_verified(&signed) && !has_single_address(policy) {
            assert!(is_allowed(&signed, &headers), "the edge accepts {signed:?}, the CDN does not");
        }
    }
}

/// Whether the policy names an address without the length of a prefix, which only the edge accepts.
fn has_single_address(policy: &[u8]) -> bool {
    let policy: serde_json::Value = serde_json::from_slice(policy).expect("it is JSON");
    let network = policy.pointer("/Statement/0/Condition/IpAddress/AWS:SourceIp");
    network.and_then(serde_json::Value::as_str).is_some_and(|network| !network.contains('/'))
}

fn is_verified(target: &str) -> bool {
    verify(&format!("{BASE}{target}"), |id| (id == ID).then_some(&KEYS.public), NOW, Some(VIEWER)).is_ok()
}

fn is_allowed(target: &str, headers: &HeaderMap) -> bool {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let request = ViewerRequest { path, query, headers, address: VIEWER };
    authorize(&request, &KEYS.base, &KEYS.trusted, Timestamp::from_unix_seconds(NOW)).is_ok()
}

/// Base64 in CloudFront's alphabet.
fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~")
}
