//! Vectors signed by Amazon's signer for Node.js (`node_signer/make.mjs`).

use std::collections::BTreeMap;

use http::header::COOKIE;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use streamio_events::timestamp::Timestamp;
use streamio_local::cdn::authorize::{
    Allowed, CredentialSource, Denied, PolicyKind, ViewerRequest, authorize,
};
use streamio_local::cdn::policy::LAST_SECOND;
use streamio_local::cdn::{BaseUrl, TrustedKeys};

use crate::clock::NOW;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    base: String,
    public_keys: BTreeMap<String, String>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    name: String,
    url: String,
    signed_url: String,
    cookies: BTreeMap<String, serde_json::Value>,
    viewer: String,
}

struct Verifier {
    base: BaseUrl,
    keys: TrustedKeys,
}

impl Verifier {
    fn decide(&self, url: &str, cookies: &str, viewer: &str, now: i64) -> Result<Allowed, Denied> {
        let uri: Uri = url.parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookies.parse().unwrap());
        let request = ViewerRequest {
            path: uri.path(),
            query: uri.query(),
            headers: &headers,
            address: viewer.parse().unwrap(),
        };
        authorize(&request, &self.base, &self.keys, Timestamp::from_unix_seconds(now))
    }
}

fn read() -> (Verifier, Vec<Vector>) {
    let file: File = serde_json::from_str(include_str!("node_signer/signed.json")).unwrap();
    let keys = TrustedKeys::from_pem(file.public_keys).unwrap();
    (Verifier { base: BaseUrl::parse(&file.base).unwrap(), keys }, file.vectors)
}

fn cookie_header(vector: &Vector) -> String {
    let value = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    vector.cookies.iter().map(|(name, text)| format!("{name}={}", value(text))).collect::<Vec<_>>().join("; ")
}

#[test]
fn vectors_are_accepted_until_they_expire() {
    let (verifier, vectors) = read();
    assert_eq!(vectors.len(), 24);
    for vector in &vectors {
        let custom = vector.signed_url.contains("Policy=");
        let kind = if custom { PolicyKind::Custom } else { PolicyKind::Canned };
        assert_eq!(custom, !vector.name.contains("canned"), "{}", vector.name);

        let by_url = verifier.decide(&vector.signed_url, "", &vector.viewer, NOW).expect(&vector.name);
        assert_eq!((by_url.source, by_url.policy), (CredentialSource::Url, kind), "{}", vector.name);
        let cookies = cookie_header(vector);
        let by_cookies = verifier.decide(&vector.url, &cookies, &vector.viewer, NOW).expect(&vector.name);
        assert_eq!(
            (by_cookies.source, by_cookies.policy),
            (CredentialSource::Cookies, kind),
            "{}",
            vector.name
        );

        let last = i64::from(LAST_SECOND);
        let at = |now| verifier.decide(&vector.signed_url, "", &vector.viewer, now).err();
        assert_eq!(at(last - 1), None, "{}", vector.name);
        let expired = Denied::Expired { at: last, now: last };
        assert_eq!(at(last).as_ref(), Some(&expired), "{}", vector.name);
        assert_eq!(verifier.decide(&vector.url, &cookies, &vector.viewer, last), Err(expired));
    }
}

#[test]
fn vectors_are_accepted_only_for_their_url_and_viewer() {
    let (verifier, vectors) = read();
    for vector in &vectors {
        let other = vector.signed_url.replace("/acme/", "/amce/");
        let denied = verifier.decide(&other, "", &vector.viewer, NOW);
        match (vector.name.contains("canned"), vector.name.contains("wildcard scheme")) {
            (true, _) => assert_eq!(denied, Err(Denied::SignatureMismatch), "{}", vector.name),
            (false, false) => assert!(matches!(denied, Err(Denied::OtherResource { .. })), "{}", vector.name),
            // `????` matches any four characters.
            (false, true) => assert!(denied.is_ok(), "{}", vector.name),
        }
        if vector.name.contains("address") {
            let denied = verifier.decide(&vector.signed_url, "", "192.0.3.1", NOW);
            assert!(matches!(denied, Err(Denied::OtherAddress { .. })), "{}", vector.name);
            let denied = verifier.decide(&vector.signed_url, "", &vector.viewer, 1_577_836_799);
            assert!(matches!(denied, Err(Denied::NotYetValid { .. })), "{}", vector.name);
        }
    }
}
