//! Compares CloudFront signatures with those of `@aws-sdk/cloudfront-signer` on Node and of OpenSSL, through Node's
//! `crypto`.
//!
//! RSA signatures are deterministic, so the bytes must be equal. ECDSA signatures use a random nonce there and the nonce of
//! RFC 6979 here, so each side verifies the other's.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use streamio_edge::sign::cloudfront;
use streamio_edge::sign::key::{HashAlgorithm, KeyPairs, PrivateKey};

use crate::cloudfront::{PolicyParams, block_on, hashes, policy_params};
use crate::keys::fixture;

const CASES: usize = 300;
const KEY_PAIR_ID: &str = "K2JCJMDEHXQW5F";

/// Sends all `requests` to one Node process; returns one result for each.
fn call_node(key: &PrivateKey, requests: &[Value]) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    assert!(
        folder.join("node_modules/@aws-sdk/cloudfront-signer").is_dir(),
        "AWS's signer for Node is not installed: run cargo xtask test (or npm ci in edge/tests/oracle)"
    );
    let mut node = Command::new("node")
        .arg("oracle.mjs")
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot start node, which runs AWS's signer (install Node 20 or later): {error}")
        });
    let keys =
        json!({"privateKey": key.to_pem(), "publicKey": key.public_key().to_pem(), "keyPairId": KEY_PAIR_ID});
    let input = json!({"keys": keys, "requests": requests}).to_string();
    node.stdin.take().unwrap().write_all(input.as_bytes()).expect("node reads its input");
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "node failed: {}", output.status);
    let results: Vec<Value> = serde_json::from_slice(&output.stdout).expect("node writes JSON");
    assert_eq!(results.len(), requests.len());
    results
}

fn generated(count: usize) -> Vec<(PolicyParams, HashAlgorithm)> {
    let mut runner = TestRunner::default();
    // AWS's signer for Node decodes the path and encodes it again without the asterisk, so an encoded asterisk becomes a
    // wildcard. Ours does not change the URL, so the results differ.
    let strategy =
        (policy_params().prop_filter("an encoded asterisk", |params| !params.url.contains("%2A")), hashes());
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn hash_name(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::Sha1 => "SHA1",
        HashAlgorithm::Sha256 => "SHA256",
    }
}

/// The parameters of AWS's signer, from which it builds the policy.
fn signer_parameters(params: &PolicyParams, hash: HashAlgorithm) -> Value {
    let date = |seconds: i64| seconds * 1000;
    json!({
        "url": params.url,
        "dateLessThan": date(params.expires_at),
        "dateGreaterThan": params.starts_at.map(date),
        "ipAddress": params.source_ip.map(|network| network.to_string()),
        "algorithm": hash_name(hash),
    })
}

/// The parameters of AWS's signer with a prebuilt policy: it cannot build one with a wildcard and no other condition.
fn with_policy(params: &PolicyParams, hash: HashAlgorithm) -> Value {
    json!({"url": params.url, "policy": params.policy().to_json(), "algorithm": hash_name(hash)})
}

/// AWS's signer for Node writes the id before the signature; AWS's documentation and other signers write it after.
fn in_node_order(query: &str) -> String {
    let mut parameters: Vec<&str> = query.split('&').collect();
    parameters.swap(1, 2);
    parameters.join("&")
}

#[test]
fn rsa_urls_and_cookies_equal_those_of_awss_signer_byte_for_byte() {
    let key = PrivateKey::from_pem(&fixture("rsa-2048.pkcs8")).unwrap();
    let cases = generated(CASES);
    let mut requests = Vec::new();
    for (params, hash) in &cases {
        let bare_pattern = params.is_pattern && params.starts_at.is_none() && params.source_ip.is_none();
        let parameters =
            if bare_pattern { with_policy(params, *hash) } else { signer_parameters(params, *hash) };
        requests.push(json!({"call": "getSignedUrl", "with": parameters}));
        requests.push(json!({"call": "getSignedCookies", "with": parameters}));
    }
    let results = call_node(&key, &requests);

    let keys = KeyPairs::new(KEY_PAIR_ID, [(KEY_PAIR_ID.to_owned(), key)]).unwrap();
    for ((params, hash), results) in cases.iter().zip(results.chunks(2)) {
        let signed = block_on(cloudfront::sign(&keys, *hash, params.policy())).unwrap();
        let separator = if params.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}{}", params.url, in_node_order(&signed.query()));
        assert_eq!(results[0].as_str(), Some(url.as_str()), "{params:?} {hash:?}");
        if !params.is_pattern {
            let url = signed.url_for(&params.url).unwrap();
            assert_eq!(url.as_str(), format!("{}{separator}{}", params.url, signed.query()));
        }
        let cookies: Value = signed
            .cookies()
            .into_iter()
            .map(|cookie| (cookie.name.to_owned(), Value::from(cookie.value)))
            .collect();
        assert_eq!(results[1], cookies, "{params:?} {hash:?}");
    }
}

#[test]
fn ecdsa_policies_equal_those_of_awss_signer_and_each_side_verifies_the_other() {
    let key = PrivateKey::from_pem(&fixture("p256.sec1")).unwrap();
    let cases: Vec<_> = generated(CASES).into_iter().filter(|(params, _)| !params.is_pattern).collect();
    let mut requests = Vec::new();
    for (params, hash) in &cases {
        let message = params.policy().to_json();
        let signature = BASE64_STANDARD.encode(key.sign(*hash, message.as_bytes()));
        requests.push(json!({"call": "getSignedCookies", "with": signer_parameters(params, *hash)}));
        let verify = json!({"message": message, "signature": signature, "algorithm": hash_name(*hash)});
        requests.push(json!({"call": "verify", "with": verify}));
        let forged =
            json!({"message": format!("{message} "), "signature": signature, "algorithm": hash_name(*hash)});
        requests.push(json!({"call": "verify", "with": forged}));
    }
    let results = call_node(&key, &requests);

    let public = key.public_key();
    let keys = KeyPairs::new(KEY_PAIR_ID, [(KEY_PAIR_ID.to_owned(), key)]).unwrap();
    for ((params, hash), results) in cases.iter().zip(results.chunks(3)) {
        let signed = block_on(cloudfront::sign(&keys, *hash, params.policy())).unwrap();
        for cookie in signed.cookies().iter().filter(|cookie| cookie.name != "CloudFront-Signature") {
            assert_eq!(results[0][cookie.name], cookie.value.as_str(), "{params:?} {hash:?}");
        }
        let signature = results[0]["CloudFront-Signature"].as_str().unwrap();
        let signature = signature.replace('-', "+").replace('_', "=").replace('~', "/");
        let signature = BASE64_STANDARD.decode(signature).unwrap();
        assert!(
            public.verify(*hash, params.policy().to_json().as_bytes(), &signature),
            "{params:?} {hash:?}"
        );
        assert_eq!(results[1..], [json!(true), json!(false)], "{params:?} {hash:?}");
    }
}
