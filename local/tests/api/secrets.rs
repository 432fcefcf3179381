//! Collects the secrets of a target and those in its responses, and checks that no log contains one.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex};

use regex::Regex;

/// The signatures and policies in signed URLs and cookies. The first group is the secret.
static SIGNATURES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:X-Amz-Signature=|Signature=|CloudFront-Signature":"|Policy=|CloudFront-Policy":")([0-9A-Za-z~_-]{40,})"#)
        .unwrap()
});

/// The secrets of one target.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<BTreeSet<String>>);

impl Secrets {
    /// Adds a secret. Of a text with several lines (a PEM key) each long line is a secret.
    pub(crate) fn add(&self, secret: &str) {
        let lines = secret.lines().filter(|line| line.len() >= 16 && !line.starts_with("-----"));
        self.0.lock().unwrap().extend(lines.map(str::to_owned));
    }

    /// Adds the signatures and policies in a response.
    pub(crate) fn add_signatures(&self, response: &str) {
        let found = SIGNATURES.captures_iter(response).map(|found| found[1].to_owned());
        self.0.lock().unwrap().extend(found);
    }

    /// The number of secrets.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Panics with the line if `log_text` contains a secret.
    pub(crate) fn assert_no_secret_in(&self, log_text: &str) {
        let secrets = self.0.lock().unwrap();
        let words = ["X-Amz-Signature=", "Signature=", "BEGIN PRIVATE KEY"];
        for secret in secrets.iter().map(String::as_str).chain(words) {
            if log_text.contains(secret) {
                let line = log_text.lines().find(|line| line.contains(secret)).unwrap_or_default();
                panic!("{secret} is in the log: {line}");
            }
        }
    }
}

#[test]
fn a_secret_in_a_log_is_detected() {
    let secrets = Secrets::default();
    let signature = "0123456789abcdef".repeat(4);
    secrets.add_signatures(&format!(r#"{{"uploadUrl":"http://s3/raw/a?X-Amz-Signature={signature}"}}"#));
    secrets.add("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n");
    assert_eq!(secrets.len(), 2);
    secrets.assert_no_secret_in("request served\nrequest failed");
    for leak in [format!("signed {signature}"), "key MIGHAgEAMBMGByqGSM49".to_owned()] {
        let found = std::panic::catch_unwind(|| secrets.assert_no_secret_in(&leak));
        assert!(found.is_err(), "{leak}");
    }
}
