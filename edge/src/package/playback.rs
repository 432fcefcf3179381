use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ipnet::Ipv4Net;
use serde_json::{Map, Value, json};

use super::InvalidOptions;
use super::key_cache::KeyCache;
use super::options::Options;
use crate::sign::cloudfront;
use crate::sign::key::{HashAlgorithm, InvalidKeyPairs, KeyPairs, PrivateKey};
use crate::sign::policy::{InvalidPolicy, Policy, Resource};

thread_local! {
    static KEY_PAIRS: RefCell<KeyCache<KeyPairs>> = RefCell::new(KeyCache::new());
}

/// `signPlayback`: signs a CloudFront policy for one file or for many.
///
/// Takes `{url?, resource?, keyPairId, privateKey, expiresAt, startsAt?, ip?, hash?}` with at least one of `url` and
/// `resource`. Returns `{url?, query, cookies}`.
pub fn sign_playback(options: &str) -> Result<String, InvalidOptions> {
    let mut options = Options::read(
        options,
        &["url", "resource", "keyPairId", "privateKey", "expiresAt", "startsAt", "ip", "hash"],
    )?;
    let (url, resource) = (options.optional_text("url")?, options.optional_text("resource")?);
    let expires_at = options.moment("expiresAt")?;
    let url_error = |error| policy_error(error, "url");
    let resource_error = |error| policy_error(error, "resource");
    let mut policy = match (&url, resource) {
        (_, Some(pattern)) => Resource::wildcard(&pattern)
            .map_err(InvalidPolicy::Url)
            .and_then(|files| Policy::custom(files, expires_at))
            .map_err(resource_error)?,
        (Some(url), None) => Policy::canned(url, expires_at).map_err(url_error)?,
        (None, None) => {
            return Err(InvalidOptions(
                "option `url` (one file) or `resource` (a pattern for many) is required".to_owned(),
            ));
        }
    };
    if let Some(starts_at) = options.optional_moment("startsAt")? {
        policy = policy.starts_at(starts_at).map_err(|error| InvalidOptions::option("startsAt", error))?;
    }
    if let Some(text) = options.optional_text("ip")? {
        policy = policy.source_ip(network(&text).ok_or_else(|| {
            InvalidOptions::option(
                "ip",
                "must be an IPv4 address or network, such as 203.0.113.7 or 203.0.113.0/24",
            )
        })?);
    }
    let hash = match options.optional_text("hash")?.as_deref() {
        None | Some("SHA1") => HashAlgorithm::Sha1,
        Some("SHA256") => HashAlgorithm::Sha256,
        Some(_) => return Err(InvalidOptions::option("hash", "must be 'SHA1' or 'SHA256'")),
    };
    let keys = key_pairs(&options.text("keyPairId")?, &options.text("privateKey")?)?;

    let signed = poll_once(cloudfront::sign(&*keys, hash, policy))
        .ok_or_else(|| InvalidOptions("the signature is not available".to_owned()))?
        .map_err(|error| InvalidOptions(error.to_string()))?;
    let cookies: Map<String, Value> =
        signed.cookies().into_iter().map(|cookie| (cookie.name.to_owned(), cookie.value.into())).collect();
    let mut response = json!({"query": signed.query(), "cookies": cookies});
    if let Some(url) = url {
        let url = signed.url_for(&url).map_err(|error| InvalidOptions::option("url", error))?;
        response["url"] = url.as_str().into();
    }
    Ok(response.to_string())
}

fn key_pairs(id: &str, pem: &str) -> Result<Rc<KeyPairs>, InvalidOptions> {
    KEY_PAIRS.with_borrow_mut(|cache| {
        cache.get(&[id, pem], || {
            let key =
                PrivateKey::from_pem(pem).map_err(|error| InvalidOptions::option("privateKey", error))?;
            KeyPairs::new(id, [(id.to_owned(), key)]).map_err(|error| match error {
                // Without the id, because it may be a private key that was passed as the id.
                InvalidKeyPairs::Id { .. }
                | InvalidKeyPairs::Duplicate { .. }
                | InvalidKeyPairs::ActiveMissing { .. } => InvalidOptions::option(
                    "keyPairId",
                    "must be 1 to 64 characters of A-Z, a-z, 0-9, '-', '_'",
                ),
            })
        })
    })
}

/// Returns the error for an invalid policy. `option` is the option that the URL was read from.
fn policy_error(error: InvalidPolicy, option: &str) -> InvalidOptions {
    match error {
        InvalidPolicy::Url(error) => InvalidOptions::option(option, error),
        error => InvalidOptions::option("expiresAt", error),
    }
}

fn network(text: &str) -> Option<Ipv4Net> {
    let network = text.parse::<Ipv4Addr>().map(Ipv4Net::from).or_else(|_| text.parse()).ok();
    network.filter(|network| network.trunc() == *network)
}

/// Returns the output of a future that is ready when it is first polled, otherwise `None`.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::key::KeyKind;

    const URL: &str = "https://cdn.example/processed/acme/a.mov";

    fn options() -> Value {
        let pem = PrivateKey::generate(KeyKind::P256, [1; 32]).to_pem();
        json!({"url": URL, "keyPairId": "K1", "privateKey": pem, "expiresAt": 1_767_323_045})
    }

    fn sign(changes: &Value) -> Result<Value, String> {
        let mut options = options();
        for (name, value) in changes.as_object().unwrap() {
            options[name] = value.clone();
        }
        sign_playback(&options.to_string())
            .map(|response| serde_json::from_str(&response).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_file_has_a_canned_policy_and_many_files_or_conditions_have_a_custom_one() {
        let response = sign(&json!({})).unwrap();
        assert_eq!(response["url"], format!("{URL}?{}", response["query"].as_str().unwrap()));
        assert!(response["query"].as_str().unwrap().starts_with("Expires=1767323045&Signature="));
        assert_eq!(response["cookies"].as_object().unwrap().len(), 3);

        for changes in [
            json!({"startsAt": 1, "hash": "SHA256"}),
            json!({"ip": "203.0.113.7", "hash": "SHA256"}),
            json!({"resource": "https://cdn.example/processed/*", "hash": "SHA256"}),
        ] {
            let response = sign(&changes).unwrap();
            assert!(response["url"].as_str().unwrap().starts_with(&format!("{URL}?Policy=")));
            assert_eq!(response["cookies"]["CloudFront-Hash-Algorithm"], "SHA256");
        }
        let mut many = options();
        many.as_object_mut().unwrap().remove("url");
        many["resource"] = json!("https://cdn.example/processed/*");
        let response: Value = serde_json::from_str(&sign_playback(&many.to_string()).unwrap()).unwrap();
        assert!(response.get("url").is_none() && response["query"].as_str().unwrap().starts_with("Policy="));
    }

    #[test]
    fn errors_name_the_option_and_not_its_value() {
        for (name, value) in [
            ("url", json!("hidden")),
            ("resource", json!("https://hidden*/a")),
            ("keyPairId", json!("hidden hidden")),
            ("privateKey", json!("hidden")),
            ("privateKey", json!("-----BEGIN PRIVATE KEY-----\nhidden\n-----END PRIVATE KEY-----")),
            ("expiresAt", json!(0)),
            ("expiresAt", json!(9_999_999_999_i64)),
            ("startsAt", json!(1_767_323_045)),
            ("ip", json!("hidden")),
            ("ip", json!("203.0.113.7/24")),
            ("ip", json!("::1")),
            ("hash", json!("hidden")),
        ] {
            let message = sign(&json!({ name: value })).unwrap_err();
            assert!(message.starts_with(&format!("option `{name}`: ")), "{name} {message}");
            assert!(!message.contains("hidden"), "{message}");
        }
        let outside = sign(&json!({"resource": "https://cdn.example/other/*"})).unwrap_err();
        assert_eq!(outside, "option `url`: the URL is not covered by the policy");
        let pem = options()["privateKey"].as_str().unwrap().to_owned();
        assert!(!sign(&json!({"keyPairId": pem})).unwrap_err().contains("PRIVATE"));
        assert!(!sign(&json!({"url": pem})).unwrap_err().contains("PRIVATE"));
    }
}
