//! CloudFront signatures against `@aws-sdk/cloudfront-signer` on Node, and against OpenSSL, which Node's `crypto` is.
//!
//! RSA signatures are functions of their input, so the bytes must be equal. ECDSA ones carry a random nonce there and
//! RFC 6979's here, so each side verifies the other's.

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

use crate::cloudfront::{Wish, hashes, now, wishes};
use crate::keys::fixture;

const CASES: usize = 300;
const KEY_PAIR_ID: &str = "K2JCJMDEHXQW5F";

/// Hands all `requests` to one Node process and returns its answers, one for each.
fn ask_node(key: &PrivateKey, requests: &[Value]) -> Vec<Value> {
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
            panic!("node, which runs AWS's signer, does not start (install Node 20 or later): {error}")
        });
    let keys =
        json!({"privateKey": key.to_pem(), "publicKey": key.public_key().to_pem(), "keyPairId": KEY_PAIR_ID});
    let input = json!({"keys": keys, "requests": requests}).to_string();
    node.stdin.take().unwrap().write_all(input.as_bytes()).expect("node reads all of its input");
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "node failed: {}", output.status);
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("node answers in JSON");
    assert_eq!(answers.len(), requests.len());
    answers
}

fn generated(count: usize) -> Vec<(Wish, HashAlgorithm)> {
    let mut runner = TestRunner::default();
    // AWS's signer for Node decodes the path and encodes it again, but leaves an asterisk: an encoded one, part of a
    // file's name, becomes a wildcard. Ours leaves URLs alone, so that these cannot be equal.
    let strategy = (wishes().prop_filter("an encoded asterisk", |wish| !wish.url.contains("%2A")), hashes());
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn name(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::Sha1 => "SHA1",
        HashAlgorithm::Sha256 => "SHA256",
    }
}

/// The wish in the words of AWS's signer: its parameters, from which it writes the policy.
fn parameters(wish: &Wish, hash: HashAlgorithm) -> Value {
    let date = |seconds: i64| seconds * 1000;
    json!({
        "url": wish.url,
        "dateLessThan": date(wish.expires_at),
        "dateGreaterThan": wish.starts_at.map(date),
        "ipAddress": wish.source_ip.map(|network| network.to_string()),
        "algorithm": name(hash),
    })
}

/// A wildcard without other conditions is none of its parameters; there it takes a whole policy.
fn with_policy(wish: &Wish, hash: HashAlgorithm) -> Value {
    json!({"url": wish.url, "policy": wish.policy().to_json(), "algorithm": name(hash)})
}

/// AWS's signer for Node writes the id before the signature; AWS's documentation and its other signers write it after.
fn in_nodes_order(query: &str) -> String {
    let mut parameters: Vec<&str> = query.split('&').collect();
    parameters.swap(1, 2);
    parameters.join("&")
}

#[test]
fn rsa_urls_and_cookies_equal_those_of_awss_signer_byte_for_byte() {
    let key = PrivateKey::from_pem(&fixture("rsa-2048.pkcs8")).unwrap();
    let cases = generated(CASES);
    let mut requests = Vec::new();
    for (wish, hash) in &cases {
        let bare_pattern = wish.is_pattern && wish.starts_at.is_none() && wish.source_ip.is_none();
        let own_words = if bare_pattern { with_policy(wish, *hash) } else { parameters(wish, *hash) };
        requests.push(json!({"call": "getSignedUrl", "with": own_words}));
        requests.push(json!({"call": "getSignedCookies", "with": own_words}));
    }
    let answers = ask_node(&key, &requests);

    let keys = KeyPairs::new(KEY_PAIR_ID, [(KEY_PAIR_ID.to_owned(), key)]).unwrap();
    for ((wish, hash), answers) in cases.iter().zip(answers.chunks(2)) {
        let signed = now(cloudfront::sign(&keys, *hash, wish.policy())).unwrap();
        let separator = if wish.url.contains('?') { '&' } else { '?' };
        let ours = format!("{}{separator}{}", wish.url, in_nodes_order(&signed.query()));
        assert_eq!(answers[0].as_str(), Some(ours.as_str()), "{wish:?} {hash:?}");
        if !wish.is_pattern {
            let ours = signed.url_for(&wish.url).unwrap();
            assert_eq!(ours.as_str(), format!("{}{separator}{}", wish.url, signed.query()));
        }
        let ours: Value = signed
            .cookies()
            .into_iter()
            .map(|cookie| (cookie.name.to_owned(), Value::from(cookie.value)))
            .collect();
        assert_eq!(answers[1], ours, "{wish:?} {hash:?}");
    }
}

#[test]
fn ecdsa_policies_equal_those_of_awss_signer_and_each_side_verifies_the_other() {
    let key = PrivateKey::from_pem(&fixture("p256.sec1")).unwrap();
    let cases: Vec<_> = generated(CASES).into_iter().filter(|(wish, _)| !wish.is_pattern).collect();
    let mut requests = Vec::new();
    for (wish, hash) in &cases {
        let message = wish.policy().to_json();
        let signature = BASE64_STANDARD.encode(key.sign(*hash, message.as_bytes()));
        requests.push(json!({"call": "getSignedCookies", "with": parameters(wish, *hash)}));
        let verify = json!({"message": message, "signature": signature, "algorithm": name(*hash)});
        requests.push(json!({"call": "verify", "with": verify}));
        let forged =
            json!({"message": format!("{message} "), "signature": signature, "algorithm": name(*hash)});
        requests.push(json!({"call": "verify", "with": forged}));
    }
    let answers = ask_node(&key, &requests);

    let public = key.public_key();
    let keys = KeyPairs::new(KEY_PAIR_ID, [(KEY_PAIR_ID.to_owned(), key)]).unwrap();
    for ((wish, hash), answers) in cases.iter().zip(answers.chunks(3)) {
        let signed = now(cloudfront::sign(&keys, *hash, wish.policy())).unwrap();
        for cookie in signed.cookies().iter().filter(|cookie| cookie.name != "CloudFront-Signature") {
            assert_eq!(answers[0][cookie.name], cookie.value.as_str(), "{wish:?} {hash:?}");
        }
        let theirs = answers[0]["CloudFront-Signature"].as_str().unwrap();
        let theirs = theirs.replace('-', "+").replace('_', "=").replace('~', "/");
        let theirs = BASE64_STANDARD.decode(theirs).unwrap();
        assert!(public.verify(*hash, wish.policy().to_json().as_bytes(), &theirs), "{wish:?} {hash:?}");
        assert_eq!(answers[1..], [json!(true), json!(false)], "{wish:?} {hash:?}");
    }
}
