use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use serde_json::{Value, json};

use super::InvalidOptions;
use super::key_cache::KeyCache;
use super::options::Options;
use crate::sign::key::{HashAlgorithm, PublicKey};
use crate::sign::verify::{VerificationError, Verified, verify};

thread_local! {
    static PUBLIC_KEYS: RefCell<KeyCache<PublicKey>> = RefCell::new(KeyCache::new());
}

/// `verifyPlayback`: verifies a signed URL as CloudFront does.
///
/// Takes `{url, publicKey?, keys?, now, ip?}` with exactly one of `publicKey` (for any key pair id) and `keys` (by id).
/// Returns `{valid: true, keyPairId, hash, resource, expiresAt, startsAt?, ip?}` or `{valid: false, reason, message}`.
pub fn verify_playback(options: &str) -> Result<String, InvalidOptions> {
    let mut options = Options::read(options, &["url", "publicKey", "keys", "now", "ip"])?;
    let url = options.text("url")?;
    let now = options.moment("now")?;
    let invalid = || InvalidOptions::option("ip", "must be the viewer's IPv4 or IPv6 address");
    let address: Option<IpAddr> =
        options.optional_text("ip")?.map(|text| text.parse().map_err(|_| invalid())).transpose()?;
    let keys = match (options.has("publicKey"), options.has("keys")) {
        (true, false) => Keys::One(parse_key("publicKey", &options.text("publicKey")?)?),
        (false, true) => {
            let parse = |(id, pem): (String, String)| Ok((id, parse_key("keys", &pem)?));
            Keys::ById(options.texts("keys")?.into_iter().map(parse).collect::<Result<_, InvalidOptions>>()?)
        }
        _ => {
            return Err(InvalidOptions(
                "exactly one of the options `publicKey` and `keys` is required, not both".to_owned(),
            ));
        }
    };
    let result = verify(&url, |id| keys.get(id), now, address);
    Ok(to_json(result).to_string())
}

/// The trusted public keys.
enum Keys {
    One(Rc<PublicKey>),
    ById(BTreeMap<String, Rc<PublicKey>>),
}

impl Keys {
    fn get(&self, id: &str) -> Option<&PublicKey> {
        match self {
            Self::One(key) => Some(key),
            Self::ById(keys) => keys.get(id).map(|key| &**key),
        }
    }
}

fn parse_key(option: &str, pem: &str) -> Result<Rc<PublicKey>, InvalidOptions> {
    let parse = || PublicKey::from_pem(pem).map_err(|error| InvalidOptions::option(option, error));
    PUBLIC_KEYS.with_borrow_mut(|cache| cache.get(&[pem], parse))
}

fn to_json(result: Result<Verified, VerificationError>) -> Value {
    let verified = match result {
        Ok(verified) => verified,
        Err(unverified) => {
            return json!({"valid": false, "reason": reason(&unverified), "message": unverified.to_string()});
        }
    };
    let Verified { key_pair_id, hash, resource, expires_at, starts_at, source_ip } = verified;
    let hash = match hash {
        HashAlgorithm::Sha1 => "SHA1",
        HashAlgorithm::Sha256 => "SHA256",
    };
    let mut response = json!({
        "valid": true,
        "keyPairId": key_pair_id,
        "hash": hash,
        "resource": resource,
        "expiresAt": expires_at,
    });
    if let Some(starts_at) = starts_at {
        response["startsAt"] = starts_at.into();
    }
    if let Some(network) = source_ip {
        response["ip"] = network.to_string().into();
    }
    response
}

/// Returns the machine-readable reason, which is `Reason` in `package/index.d.ts`.
fn reason(unverified: &VerificationError) -> &'static str {
    match unverified {
        VerificationError::NotSigned => "not-signed",
        VerificationError::Malformed(_) | VerificationError::Url(_) => "malformed",
        VerificationError::UnknownKeyPair => "unknown-key-pair",
        VerificationError::Signature => "bad-signature",
        VerificationError::NotCovered => "not-covered",
        VerificationError::Expired => "expired",
        VerificationError::NotYetValid => "not-yet-valid",
        VerificationError::OtherAddress => "other-address",
        VerificationError::AddressNeeded => "address-needed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::sign_playback;
    use crate::sign::key::{KeyKind, PrivateKey};

    const URL: &str = "https://cdn.example/processed/acme/a.mov";

    fn public_key(seed: u8) -> String {
        PrivateKey::generate(KeyKind::P256, [seed; 32]).public_key().to_pem()
    }

    fn signed(changes: &Value) -> String {
        let pem = PrivateKey::generate(KeyKind::P256, [1; 32]).to_pem();
        let mut options = json!({"url": URL, "keyPairId": "K1", "privateKey": pem, "expiresAt": 100});
        for (name, value) in changes.as_object().unwrap() {
            options[name] = value.clone();
        }
        let response: Value = serde_json::from_str(&sign_playback(&options.to_string()).unwrap()).unwrap();
        response["url"].as_str().unwrap().to_owned()
    }

    fn verified(options: &Value) -> Value {
        serde_json::from_str(&verify_playback(&options.to_string()).unwrap()).unwrap()
    }

    #[test]
    fn a_signed_url_is_valid_with_one_key_and_with_several() {
        let url = signed(&json!({"startsAt": 50, "ip": "203.0.113.0/24", "hash": "SHA256"}));
        let expected = json!({
            "valid": true,
            "keyPairId": "K1",
            "hash": "SHA256",
            "resource": URL,
            "expiresAt": 100,
            "startsAt": 50,
            "ip": "203.0.113.0/24",
        });
        let mut options = json!({"url": url, "publicKey": public_key(1), "now": 60, "ip": "203.0.113.7"});
        assert_eq!(verified(&options), expected);
        options.as_object_mut().unwrap().remove("publicKey");
        options["keys"] = json!({"K0": public_key(2), "K1": public_key(1)});
        assert_eq!(verified(&options), expected);
    }

    #[test]
    fn every_invalid_url_has_a_reason() {
        let url = signed(&json!({"startsAt": 50, "ip": "203.0.113.0/24"}));
        let reason = |changes: Value| {
            let keys = json!({"K1": public_key(1), "K2": public_key(2)});
            let mut options = json!({"url": url, "keys": keys, "now": 60, "ip": "203.0.113.7"});
            for (name, value) in changes.as_object().unwrap() {
                options[name] = value.clone();
            }
            let response = verified(&options);
            assert_eq!(response["valid"], false);
            assert!(!response["message"].as_str().unwrap().is_empty());
            response["reason"].as_str().unwrap().to_owned()
        };
        assert_eq!(reason(json!({"url": URL})), "not-signed");
        assert_eq!(reason(json!({"url": format!("{URL}?Expires=1")})), "malformed");
        assert_eq!(reason(json!({"url": url.replace("=K1", "=K3")})), "unknown-key-pair");
        assert_eq!(reason(json!({"url": url.replace("=K1", "=K2")})), "bad-signature");
        assert_eq!(reason(json!({"url": url.replace("acme", "other")})), "not-covered");
        assert_eq!(reason(json!({"now": 100})), "expired");
        assert_eq!(reason(json!({"now": 49})), "not-yet-valid");
        assert_eq!(reason(json!({"ip": "198.51.100.1"})), "other-address");
        let options = json!({"url": url, "publicKey": public_key(1), "now": 60});
        assert_eq!(verified(&options)["reason"], "address-needed");
    }

    #[test]
    fn errors_name_the_invalid_option() {
        let error_for = |options: Value| verify_playback(&options.to_string()).unwrap_err().to_string();
        let key = public_key(1);
        assert!(error_for(json!({"publicKey": key, "now": 1})).starts_with("option `url`: "));
        assert!(error_for(json!({"url": URL, "publicKey": key})).starts_with("option `now`: "));
        assert!(
            error_for(json!({"url": URL, "publicKey": key, "now": 1, "ip": "x"}))
                .starts_with("option `ip`: ")
        );
        assert!(
            error_for(json!({"url": URL, "publicKey": "x", "now": 1})).starts_with("option `publicKey`: ")
        );
        assert!(error_for(json!({"url": URL, "keys": {"K1": "x"}, "now": 1})).starts_with("option `keys`: "));
        let both = json!({"url": URL, "keys": {}, "publicKey": key, "now": 1});
        assert!(error_for(both).contains("not both"));
    }
}
