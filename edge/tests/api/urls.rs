//! Parses the URLs of a response as the servers do that receive them.

use base64::Engine as _;
use base64::alphabet::Alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use streamio_edge::sign::key::{HashAlgorithm, PublicKey};
use url::Url;

use crate::config::key_pairs;

/// A URL as its server parses it.
#[derive(Debug)]
pub(crate) struct ParsedUrl {
    pub(crate) origin: String,
    /// The path, decoded.
    pub(crate) path: String,
    query: Vec<(String, String)>,
}

impl ParsedUrl {
    /// Parses `url`. Panics if any part of it is ambiguous.
    pub(crate) fn of(url: &str) -> Self {
        let parsed = Url::parse(url).unwrap_or_else(|error| panic!("{error}: {url}"));
        assert_eq!(parsed.as_str(), url, "a client that follows the URL standard would change this URL");
        assert!(parsed.fragment().is_none() && parsed.username().is_empty(), "{url}");
        let path = percent_decode_str(parsed.path()).decode_utf8().unwrap().into_owned();
        let ambiguous =
            |path: &str| path.split(['/', '\\']).skip(1).any(|segment| matches!(segment, "" | "." | ".."));
        assert!(!ambiguous(&path) && !path.chars().any(char::is_control), "{url}");
        let query =
            parsed.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Self { origin: parsed.origin().ascii_serialization(), path, query }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut values = self.query.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} occurs twice");
        value
    }

    /// The signed headers, without `host`.
    pub(crate) fn signed_headers(&self) -> Vec<&str> {
        let names = self.parameter("X-Amz-SignedHeaders").expect("a presigned URL names its headers");
        names.split(';').filter(|name| *name != "host").collect()
    }
}

/// The policy of a CDN URL, canned or custom, after verification of its signature with the public key.
pub(crate) fn verified_policy(url: &str) -> Value {
    let seen = ParsedUrl::of(url);
    let policy = match (seen.parameter("Policy"), seen.parameter("Expires")) {
        (Some(policy), None) => String::from_utf8(decode(policy)).unwrap(),
        (None, Some(expires)) => {
            let resource = url.split_once('?').unwrap().0;
            format!(
                r#"{{"Statement":[{{"Resource":"{resource}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}}}]}}"#
            )
        }
        other => panic!("one of Policy and Expires is needed: {other:?}"),
    };
    assert_eq!(seen.parameter("Hash-Algorithm"), Some("SHA256"));
    let id = seen.parameter("Key-Pair-Id").unwrap();
    let pairs = key_pairs();
    let (_, public): (&str, PublicKey) = pairs.public_keys().find(|(other, _)| *other == id).unwrap();
    let signature = decode(seen.parameter("Signature").unwrap());
    assert!(public.verify(HashAlgorithm::Sha256, policy.as_bytes(), &signature), "{url}");
    let policy: Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 1);
    policy["Statement"][0].clone()
}

/// A policy in the encoding of URLs.
pub(crate) fn encoded(policy: &Value) -> String {
    base64().encode(policy.to_string()).replace('=', "_")
}

fn decode(text: &str) -> Vec<u8> {
    base64().decode(text.replace('_', "=")).unwrap()
}

fn base64() -> GeneralPurpose {
    let alphabet = Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~").unwrap();
    GeneralPurpose::new(&alphabet, GeneralPurposeConfig::new())
}

/// All texts in `answer` that are URLs.
pub(crate) fn urls(answer: &Value) -> Vec<&str> {
    match answer {
        Value::String(text) if text.starts_with("http") => vec![text],
        Value::Array(items) => items.iter().flat_map(urls).collect(),
        Value::Object(object) => object.values().flat_map(urls).collect(),
        _ => Vec::new(),
    }
}
