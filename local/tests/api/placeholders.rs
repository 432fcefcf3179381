//! Replaces the parts of a transcript that differ in every run by placeholders.
//!
//! A random id becomes its kind and a number, in the order in which the ids first occur in a scenario, so equal ids
//! stay equal and different ids stay different. Signatures are numbered within one response only, because ECDSA may
//! produce different signatures for the same text. A current time becomes `{time}`: two of them may or may not be in
//! the same millisecond. (Durations are checked by the scenarios.) A CDN policy is decoded, so that everything except
//! its times is compared.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use streamio_events::timestamp::Timestamp;

use crate::target::Target;

/// The longest lifetime that a scenario requests, plus one day.
const MAX_AHEAD: Duration = Duration::from_hours(8 * 24);

/// The placeholders of one scenario with one target.
pub(crate) struct Placeholders {
    /// Texts of this target and their placeholders.
    names: Vec<(String, &'static str)>,
    /// The range of current times.
    current: RangeInclusive<Timestamp>,
    /// The numbers of the ids, by kind.
    numbers: HashMap<&'static str, HashMap<String, usize>>,
}

/// The kinds of ids and their patterns. The first group is the id.
static IDS: LazyLock<[(&str, Regex); 9]> = LazyLock::new(|| {
    [
        ("request", pattern(r"\b(req_[a-z2-7]{26})")),
        ("grant", pattern(r"\b(grt_[a-z2-7]{26})")),
        ("upload", pattern(r#"(?:uploadId=|"uploadId":"|<UploadId>)([0-9a-f]{48})\b"#)),
        (
            "version",
            pattern(r#"(?:versionId=|"versionId":"|<VersionId>|x-amz-version-id: )([0-9a-f]{48})\b"#),
        ),
        // The tag of a playlist for a viewer depends on the signature.
        ("etag", pattern(r#"(?:etag|if-none-match): "([0-9a-f]{32})""#)),
        ("cursor", pattern(r#"(?:"nextCursor":"|"position":"|after=)([0-9]+\.[0-9]+)\b"#)),
        ("secret", pattern(r#""secret":"(whsec_[0-9A-Za-z+/=]+)""#)),
        ("public key", pattern(r#""publicKey":"(whpk_[0-9A-Za-z+/=]+)""#)),
        (SIGNATURE, pattern(r#"(?:Signature=|CloudFront-Signature":")([0-9A-Za-z~_-]{40,})"#)),
    ]
});
const SIGNATURE: &str = "signature";

static POLICY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"((?:\bPolicy=|CloudFront-Policy":"))([0-9A-Za-z~_-]{40,})"#));
static RFC_3339: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z"));
static EPOCH: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(\bExpires=|"AWS:EpochTime":)([0-9]{9,11})\b"#));
static AMZ_DATE: LazyLock<Regex> = LazyLock::new(|| pattern(r"X-Amz-Date=[0-9]{8}T[0-9]{6}Z"));
static AMZ_DAY: LazyLock<Regex> = LazyLock::new(|| pattern(r"(X-Amz-Credential=[^&%]+%2F)[0-9]{8}%2F"));
/// The time and the shard of a stream of grants, or the time and the commit id. They depend on the journal.
static GRANTS_STREAM: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"grants?(/[a-z]+/)[0-9]{10,14}/(?:[0-9]+|cmt_[a-z2-7]+)/"));
static REMAINING: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(ratelimit: "key");r=[0-9]+;t=[0-9]+"#));
static WAIT: LazyLock<Regex> = LazyLock::new(|| pattern(r"send the next request in [0-9]+\.[0-9] seconds"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

impl Placeholders {
    pub(crate) fn new(target: &Target) -> Self {
        let addresses = &target.addresses;
        let names = vec![
            (addresses.api.clone(), "{api}"),
            (addresses.s3.clone(), "{s3}"),
            (addresses.cdn.clone(), "{cdn}"),
            (target.storage.access_key_id.clone(), "{access key}"),
            (target.storage.key_pair_id.clone(), "{key pair}"),
        ];
        Self::with(names, target.since)
    }

    fn with(names: Vec<(String, &'static str)>, since: Timestamp) -> Self {
        // An expiry is truncated to whole seconds.
        let since = Timestamp::from_unix_seconds(since.unix_seconds());
        Self { names, current: since..=since.plus(MAX_AHEAD), numbers: HashMap::new() }
    }

    /// Replaces the variable parts of one request and its response.
    pub(crate) fn replace_in(&mut self, exchange: &str) -> String {
        let mut text = POLICY.replace_all(exchange, decoded_policy).into_owned();
        for (name, placeholder) in &self.names {
            text = text.replace(name, placeholder);
        }
        self.numbers.remove(SIGNATURE);
        for (kind, pattern) in &*IDS {
            text = self.replace_ids(kind, pattern, &text);
        }
        text = RFC_3339.replace_all(&text, |found: &Captures<'_>| self.time(&found[0])).into_owned();
        text = EPOCH.replace_all(&text, |found: &Captures<'_>| self.seconds(found)).into_owned();
        for (pattern, placeholder) in [
            (&AMZ_DATE, "X-Amz-Date={time}"),
            (&AMZ_DAY, "${1}{day}%2F"),
            (&GRANTS_STREAM, "grants${1}{hour}/{shard}/"),
            (&REMAINING, "$1;r={number};t={number}"),
            (&WAIT, "send the next request in {seconds} seconds"),
        ] {
            text = pattern.replace_all(&text, placeholder).into_owned();
        }
        text
    }

    fn replace_ids(&mut self, kind: &'static str, pattern: &Regex, text: &str) -> String {
        let numbers = self.numbers.entry(kind).or_default();
        let replaced = pattern.replace_all(text, |found: &Captures<'_>| {
            let next = numbers.len() + 1;
            let number = *numbers.entry(found[1].to_owned()).or_insert(next);
            found[0].replace(&found[1], &format!("{{{kind} {number}}}"))
        });
        replaced.into_owned()
    }

    fn time(&self, text: &str) -> String {
        let is_current = text.parse().is_ok_and(|time: Timestamp| self.current.contains(&time));
        if is_current { "{time}" } else { text }.to_owned()
    }

    fn seconds(&self, found: &Captures<'_>) -> String {
        let time = Timestamp::from_unix_seconds(found[2].parse().unwrap());
        if self.current.contains(&time) { format!("{}{{time}}", &found[1]) } else { found[0].to_owned() }
    }
}

/// Decodes the policy in a URL or a cookie.
fn decoded_policy(found: &Captures<'_>) -> String {
    let base64: String = found[2]
        .chars()
        .map(|character| match character {
            '-' => '+',
            '_' => '=',
            '~' => '/',
            other => other,
        })
        .collect();
    match STANDARD.decode(base64).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(policy) => format!("{}({policy})", &found[1]),
        None => found[0].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders() -> Placeholders {
        let since = "2026-01-02T03:04:05.678Z".parse().unwrap();
        Placeholders::with(vec![("http://127.0.0.1:9000".to_owned(), "{s3}")], since)
    }

    #[test]
    fn equal_ids_stay_equal_and_different_ids_stay_different() {
        let [one, other] = ["a", "b"].map(|letter| format!("grt_{}", letter.repeat(26)));
        let mut placeholders = placeholders();
        assert_eq!(placeholders.replace_in(&format!("{one} {other} {one}")), "{grant 1} {grant 2} {grant 1}");
        assert_eq!(placeholders.replace_in(&format!("{other} {one}")), "{grant 2} {grant 1}");
        let request = format!("req_{}", "a".repeat(26));
        assert_eq!(placeholders.replace_in(&request), "{request 1}");
        let upload = "0123456789abcdef".repeat(3);
        let original =
            format!(r#"{{"uploadId":"{upload}","url":"http://127.0.0.1:9000/a?uploadId={upload}&x=1"}}"#);
        let expected = r#"{"uploadId":"{upload 1}","url":"{s3}/a?uploadId={upload 1}&x=1"}"#;
        assert_eq!(placeholders.replace_in(&original), expected);
    }

    #[test]
    fn signatures_are_numbered_within_a_response() {
        let [one, other] = ["a", "b"].map(|letter| letter.repeat(86) + "_");
        let original = format!(r#"?Signature={one}&x "CloudFront-Signature":"{one}" Signature={other}"#);
        let expected =
            r#"?Signature={signature 1}&x "CloudFront-Signature":"{signature 1}" Signature={signature 2}"#;
        let mut placeholders = placeholders();
        assert_eq!(placeholders.replace_in(&original), expected);
        assert_eq!(placeholders.replace_in(&format!("Signature={other}")), "Signature={signature 1}");
    }

    #[test]
    fn times_of_the_history_and_other_text_are_kept() {
        let replaced = |text: &str| placeholders().replace_in(text);
        assert_eq!(replaced("2026-01-02T03:04:05.678Z 2026-01-02T03:04:05.000Z"), "{time} {time}");
        for kept in [
            "2026-01-02T03:04:04.999Z",
            "2026-02-02T03:04:05.678Z",
            "Expires=1893553445&",
            "X-Amz-Expires=900",
            r#""version":4"#,
            "vid_aaaaaaaaaaaaaaaaaaaaaaaaaa",
            "key_aaaaaaaaaaaaaaaaaaaaaaaaaa",
            r#""nextCursor":"1577934245250.vid_aaaaaaaaaaaaaaaaaaaaaaaaaa""#,
            r#""bytes":1767323045"#,
        ] {
            assert_eq!(replaced(kept), kept);
        }
        let presigned =
            "X-Amz-Credential=AKIA%2F20260102%2Fus-east-1&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900";
        let expected = "X-Amz-Credential=AKIA%2F{day}%2Fus-east-1&X-Amz-Date={time}&X-Amz-Expires=900";
        assert_eq!(replaced(presigned), expected);
        assert_eq!(replaced("Expires=1767326645&"), "Expires={time}&");
        assert_eq!(replaced(r#"ratelimit: "key";r=399;t=1"#), r#"ratelimit: "key";r={number};t={number}"#);
    }

    #[test]
    fn a_policy_is_decoded() {
        let policy = r#"{"Statement":[{"Resource":"http://cdn/a*","Condition":{"DateLessThan":{"AWS:EpochTime":1767326645}}}]}"#;
        let encoded = STANDARD.encode(policy).replace('+', "-").replace('=', "_").replace('/', "~");
        let expected = policy.replace("1767326645", "{time}");
        assert_eq!(
            placeholders().replace_in(&format!("?Policy={encoded}&x")),
            format!("?Policy=({expected})&x")
        );
    }
}
