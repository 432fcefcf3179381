use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The query parameters of a signature. CloudFront would read a parameter of the same name in the URL as part of it.
const RESERVED: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];

/// The characters that RFC 3986 allows in a URL besides letters, digits, `%` and `#`. None needs escaping in JSON.
const PUNCTUATION: &str = "-._~:/?[]@!$&'()*+,;=";

/// The URL of one file, or a pattern for many, valid as the `Resource` of a policy without escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    text: String,
    is_pattern: bool,
}

/// Why a URL cannot be used in a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// CloudFront compares absolute URLs.
    #[error("a URL to sign must have http:// or https://, a host, and a path")]
    NotAbsolute,
    /// Quotes, backslashes and control characters could break the policy's JSON; other such characters are invalid in a
    /// URL. They are refused rather than escaped, because the escaped text would not match the URL of the request.
    #[error("character {character:?} at byte {position} must be percent-encoded in a URL to sign")]
    Character {
        /// The invalid character.
        character: char,
        /// The number of bytes before it.
        position: usize,
    },
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("the '%' at byte {position} is not followed by two hexadecimal digits")]
    PercentEncoding {
        /// The number of bytes before the `%`.
        position: usize,
    },
    /// Clients do not send the fragment, so the request would not match.
    #[error("a URL to sign must not have a fragment: encode '#' as %23 if it is part of the path")]
    Fragment,
    /// Clients do not send the user and password in the URL.
    #[error("a URL to sign must not have a user or password")]
    UserInfo,
    /// CloudFront would read the parameter as part of the signature.
    #[error("query parameter {name} belongs to the signature: leave it out of the URL")]
    ReservedParameter {
        /// The name of the parameter.
        name: &'static str,
    },
    /// In a policy `*` matches any text, so the URL would cover other files.
    #[error("the URL of one file contains '*', which is a wildcard in a policy: encode it as %2A")]
    WildcardInExactUrl,
    /// Such a pattern would cover other distributions.
    #[error("a URL must not have a wildcard in its scheme or host")]
    WildcardInHost,
    /// The signature would not be valid for this URL.
    #[error("the URL is not covered by the policy")]
    NotCovered,
}

impl Resource {
    /// One file. The query is part of its URL.
    ///
    /// In a custom policy CloudFront reads the `?` before the query as a wildcard for one character, which also matches
    /// the URL itself. AWS's own signers do not escape it either.
    pub fn exact(url: &str) -> Result<Self, InvalidUrl> {
        check(url)?;
        if url.contains('*') {
            return Err(InvalidUrl::WildcardInExactUrl);
        }
        Ok(Self { text: url.to_owned(), is_pattern: false })
    }

    /// All files whose URLs match: `*` matches any text and `?` one character. A `*` at the end also covers any query;
    /// elsewhere it does not match the `?` between path and query.
    pub fn wildcard(pattern: &str) -> Result<Self, InvalidUrl> {
        let path_at = check(pattern)?;
        if pattern[..path_at].contains('*') {
            return Err(InvalidUrl::WildcardInHost);
        }
        Ok(Self { text: pattern.to_owned(), is_pattern: true })
    }

    /// The URL or pattern as written in the policy.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this covers `url`, given without the signature's parameters.
    pub fn covers(&self, url: &str) -> bool {
        if self.is_pattern { matches(&self.text, url) } else { self.text == url }
    }
}

/// Checks that `url` can be used in a policy; returns the length of its scheme and host.
pub(in crate::sign) fn check(url: &str) -> Result<usize, InvalidUrl> {
    for (position, character) in url.char_indices() {
        match character {
            '#' => return Err(InvalidUrl::Fragment),
            '%' => {
                let digits = url.as_bytes().get(position + 1..position + 3);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(InvalidUrl::PercentEncoding { position });
                }
            }
            _ if character.is_ascii_alphanumeric() || PUNCTUATION.contains(character) => {}
            character => return Err(InvalidUrl::Character { character, position }),
        }
    }
    let host_at =
        ["https://", "http://"].iter().find(|scheme| url.starts_with(**scheme)).map(|scheme| scheme.len());
    let host_at = host_at.ok_or(InvalidUrl::NotAbsolute)?;
    let path_at = host_at + url[host_at..].find('/').ok_or(InvalidUrl::NotAbsolute)?;
    let host = &url[host_at..path_at];
    if host.contains('@') {
        return Err(InvalidUrl::UserInfo);
    }
    if host.is_empty() || host.contains('?') {
        return Err(InvalidUrl::NotAbsolute);
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    for parameter in query.split('&') {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        let name: Cow<'_, [u8]> = percent_decode_str(name).into();
        if let Some(name) = RESERVED.into_iter().find(|reserved| reserved.as_bytes() == &*name) {
            return Err(InvalidUrl::ReservedParameter { name });
        }
    }
    Ok(path_at)
}

/// Whether `url` matches `pattern`, by the rules of [`Resource::wildcard`].
pub(crate) fn matches(pattern: &str, url: &str) -> bool {
    let (pattern, url) = (pattern.as_bytes(), url.as_bytes());
    let plain = pattern.iter().position(|byte| matches!(byte, b'*' | b'?')).unwrap_or(pattern.len());
    match (&pattern[plain..], url.strip_prefix(&pattern[..plain])) {
        (_, None) => false,
        // Fast path: nearly every pattern is a folder with all its files.
        (b"*", Some(_)) => true,
        (pattern, Some(url)) => matches_bytes(pattern, url),
    }
}

/// Tracks all partial matches at once, so the time is bounded by pattern length × text length: `reached[p]` is whether
/// the first `p` bytes of the pattern match the text read so far.
fn matches_bytes(pattern: &[u8], text: &[u8]) -> bool {
    let ends_in_star = pattern.last() == Some(&b'*');
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_empty_stars(pattern, &mut reached);
    for &byte in text {
        if ends_in_star && reached[pattern.len()] {
            return true;
        }
        let mut next = vec![false; reached.len()];
        for (p, &expected) in pattern.iter().enumerate().filter(|(p, _)| reached[*p]) {
            match expected {
                // A star matches any byte except the `?` between path and query.
                b'*' => next[p] |= byte != b'?',
                b'?' => next[p + 1] = true,
                _ => next[p + 1] |= expected == byte,
            }
        }
        skip_empty_stars(pattern, &mut next);
        reached = next;
    }
    reached[pattern.len()]
}

/// A star also matches the empty text.
fn skip_empty_stars(pattern: &[u8], reached: &mut [bool]) {
    for (p, _) in pattern.iter().enumerate().filter(|(_, byte)| **byte == b'*') {
        reached[p + 1] |= reached[p];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A recursive implementation of the same rules, with exponential time.
    fn reference_matches(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) | ([b'*'], _) => true,
            ([b'*', rest @ ..], _) => {
                reference_matches(rest, text)
                    || text
                        .split_first()
                        .is_some_and(|(byte, text)| *byte != b'?' && reference_matches(pattern, text))
            }
            ([b'?', pattern @ ..], [_, text @ ..]) => reference_matches(pattern, text),
            ([a, pattern @ ..], [b, text @ ..]) => a == b && reference_matches(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn matching_equals_the_reference_implementation(pattern in "[ab?*]{0,8}", text in "[ab?]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), reference_matches(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn matching_time_is_bounded_by_pattern_length_times_text_length() {
        // With exponential time this would not finish.
        let (pattern, text) = ("*a".repeat(200) + "b", "a".repeat(4000));
        assert!(!matches(&pattern, &text));
    }
}
