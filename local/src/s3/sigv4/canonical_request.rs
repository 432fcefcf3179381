//! The text that a signature is made over, as the server computes it from the request that it received:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::borrow::Cow;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The characters that are percent-encoded in names and values of the query.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The characters that are percent-encoded in the path.
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

/// The parameter that is not signed.
const SIGNATURE: &str = "X-Amz-Signature";

/// The canonical request. `query` is decoded; `headers` are the signed ones, in the order of their names, with several
/// values of a name joined; `payload` is the SHA-256 of the body or a word that stands for it.
pub(super) fn canonical_request(
    method: &Method,
    path: &str,
    query: &[(String, String)],
    headers: &[(String, String)],
    payload: &str,
) -> String {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    format!(
        "{method}\n{}\n{}\n{}\n{}\n{payload}",
        utf8_percent_encode(&path, IN_PATH),
        canonical_query(query),
        lines.concat(),
        names.join(";"),
    )
}

fn canonical_query(query: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, IN_QUERY).to_string();
    let mut encoded: Vec<(String, String)> = query
        .iter()
        .filter(|(name, _)| name != SIGNATURE)
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    encoded.sort();
    let pairs: Vec<String> = encoded.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The values of a header as they are signed: each without white space around it and with single spaces, joined by
/// commas.
pub(super) fn canonical_value<'a>(values: impl Iterator<Item = Cow<'a, str>>) -> String {
    let values: Vec<String> =
        values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    values.join(",")
}
