//! What cannot be the same twice, and what stands for it in a transcript.
//!
//! A random id becomes its kind and a number, given in the order in which ids are first seen in a scenario: equal ids
//! stay equal and different ones different. Signatures are numbered within one answer only, because ECDSA may give
//! another one for the same text. A time that is not the history's becomes `{time}`: two of them may or may not fall
//! into the same millisecond. (What lies between two times is for a scenario to check.) A policy of the CDN is written
//! out, so that all but its times is compared.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use streamio_events::timestamp::Timestamp;

use crate::target::Target;

/// The longest life that a scenario asks for, and a day more.
const AHEAD: Duration = Duration::from_hours(8 * 24);

/// The placeholders of one scenario with one target.
pub(crate) struct Placeholders {
    /// Texts of this target, and what stands for each.
    names: Vec<(String, &'static str)>,
    /// The times that are not the history's.
    present: RangeInclusive<Timestamp>,
    /// The numbers of the ids of each kind.
    numbers: HashMap<&'static str, HashMap<String, usize>>,
}

/// The kinds of ids: the pattern's first group is the id.
static IDS: LazyLock<[(&str, Regex); 5]> = LazyLock::new(|| {
    [
        ("request", pattern(r"\b(req_[a-z2-7]{26})")),
        ("grant", pattern(r"\b(grt_[a-z2-7]{26})")),
        ("upload", pattern(r#"(?:uploadId=|"uploadId":"|<UploadId>)([0-9a-f]{48})\b"#)),
        ("cursor", pattern(r#"(?:"nextCursor":"|after=)([0-9]+\.[0-9]+)\b"#)),
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
static GRANTS_HOUR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(grants/[a-z]+/)[0-9]{10}/"));
static REMAINING: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(ratelimit: "key");r=[0-9]+;t=[0-9]+"#));
static WAIT: LazyLock<Regex> = LazyLock::new(|| pattern(r"go on in [0-9]+\.[0-9] seconds"));

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
        // An expiry is cut to whole seconds.
        let since = Timestamp::from_unix_seconds(since.unix_seconds());
        Self { names, present: since..=since.plus(AHEAD), numbers: HashMap::new() }
    }

    /// One request and its answer, with placeholders.
    pub(crate) fn put_into(&mut self, exchange: &str) -> String {
        let mut text = POLICY.replace_all(exchange, written_out).into_owned();
        for (name, placeholder) in &self.names {
            text = text.replace(name, placeholder);
        }
        self.numbers.remove(SIGNATURE);
        for (kind, pattern) in &*IDS {
            text = self.numbered(kind, pattern, &text);
        }
        text = RFC_3339.replace_all(&text, |found: &Captures<'_>| self.time(&found[0])).into_owned();
        text = EPOCH.replace_all(&text, |found: &Captures<'_>| self.seconds(found)).into_owned();
        for (pattern, placeholder) in [
            (&AMZ_DATE, "X-Amz-Date={time}"),
            (&AMZ_DAY, "${1}{day}%2F"),
            (&GRANTS_HOUR, "${1}{hour}/"),
            (&REMAINING, "$1;r={number};t={number}"),
            (&WAIT, "go on in {seconds} seconds"),
        ] {
            text = pattern.replace_all(&text, placeholder).into_owned();
        }
        text
    }

    fn numbered(&mut self, kind: &'static str, pattern: &Regex, text: &str) -> String {
        let numbers = self.numbers.entry(kind).or_default();
        let replaced = pattern.replace_all(text, |found: &Captures<'_>| {
            let next = numbers.len() + 1;
            let number = *numbers.entry(found[1].to_owned()).or_insert(next);
            found[0].replace(&found[1], &format!("{{{kind} {number}}}"))
        });
        replaced.into_owned()
    }

    fn time(&self, text: &str) -> String {
        let of_now = text.parse().is_ok_and(|time: Timestamp| self.present.contains(&time));
        if of_now { "{time}" } else { text }.to_owned()
    }

    fn seconds(&self, found: &Captures<'_>) -> String {
        let time = Timestamp::from_unix_seconds(found[2].parse().unwrap());
        if self.present.contains(&time) { format!("{}{{time}}", &found[1]) } else { found[0].to_owned() }
    }
}

/// The policy that stands in a URL or a cookie, as the CDN reads it.
fn written_out(found: &Captures<'_>) -> String {
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
    fn equal_ids_stay_equal_and_different_ones_different() {
        let [one, other] = ["a", "b"].map(|letter| format!("grt_{}", letter.repeat(26)));
        let mut placeholders = placeholders();
        assert_eq!(placeholders.put_into(&format!("{one} {other} {one}")), "{grant 1} {grant 2} {grant 1}");
        assert_eq!(placeholders.put_into(&format!("{other} {one}")), "{grant 2} {grant 1}");
        let request = format!("req_{}", "a".repeat(26));
        assert_eq!(placeholders.put_into(&request), "{request 1}");
        let upload = "0123456789abcdef".repeat(3);
        let said =
            format!(r#"{{"uploadId":"{upload}","url":"http://127.0.0.1:9000/a?uploadId={upload}&x=1"}}"#);
        let expected = r#"{"uploadId":"{upload 1}","url":"{s3}/a?uploadId={upload 1}&x=1"}"#;
        assert_eq!(placeholders.put_into(&said), expected);
    }

    #[test]
    fn signatures_are_numbered_within_an_answer() {
        let [one, other] = ["a", "b"].map(|letter| letter.repeat(86) + "_");
        let said = format!(r#"?Signature={one}&x "CloudFront-Signature":"{one}" Signature={other}"#);
        let expected =
            r#"?Signature={signature 1}&x "CloudFront-Signature":"{signature 1}" Signature={signature 2}"#;
        let mut placeholders = placeholders();
        assert_eq!(placeholders.put_into(&said), expected);
        assert_eq!(placeholders.put_into(&format!("Signature={other}")), "Signature={signature 1}");
    }

    #[test]
    fn times_of_the_history_and_all_else_is_kept() {
        let put = |text: &str| placeholders().put_into(text);
        assert_eq!(put("2026-01-02T03:04:05.678Z 2026-01-02T03:04:05.000Z"), "{time} {time}");
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
            assert_eq!(put(kept), kept);
        }
        let presigned =
            "X-Amz-Credential=AKIA%2F20260102%2Fus-east-1&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900";
        let expected = "X-Amz-Credential=AKIA%2F{day}%2Fus-east-1&X-Amz-Date={time}&X-Amz-Expires=900";
        assert_eq!(put(presigned), expected);
        assert_eq!(put("Expires=1767326645&"), "Expires={time}&");
        assert_eq!(put(r#"ratelimit: "key";r=399;t=1"#), r#"ratelimit: "key";r={number};t={number}"#);
    }

    #[test]
    fn a_policy_is_written_out() {
        let policy = r#"{"Statement":[{"Resource":"http://cdn/a*","Condition":{"DateLessThan":{"AWS:EpochTime":1767326645}}}]}"#;
        let encoded = STANDARD.encode(policy).replace('+', "-").replace('=', "_").replace('/', "~");
        let expected = policy.replace("1767326645", "{time}");
        assert_eq!(
            placeholders().put_into(&format!("?Policy={encoded}&x")),
            format!("?Policy=({expected})&x")
        );
    }
}
