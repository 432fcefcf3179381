use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The query parameters of a signature. CloudFront would take a viewer's own parameter for it.
const RESERVED: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];

/// What RFC 3986 allows in a URL besides letters, digits, `%` and `#`. None of it needs escaping in JSON.
const PUNCTUATION: &str = "-._~:/?[]@!$&'()*+,;=";

/// The URL of one file, or a pattern for many, that can stand in a policy as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    text: String,
    is_pattern: bool,
}

/// Why a URL cannot stand in a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// CloudFront compares whole URLs.
    #[error("a URL to sign begins with http:// or https://, a host, and a path")]
    NotAbsolute,
    /// Quotes, backslashes and control characters could end the JSON text of the policy; the rest is no URL. It is
    /// refused and not escaped, because CloudFront would compare another text than the one in the request.
    #[error("character {character:?} at byte {position} must be percent-encoded in a URL to sign")]
    Character {
        /// The character as found.
        character: char,
        /// The number of bytes before it.
        position: usize,
    },
    /// A `%` that two hexadecimal digits do not follow.
    #[error("the '%' at byte {position} is not followed by two hexadecimal digits")]
    PercentEncoding {
        /// The number of bytes before the `%`.
        position: usize,
    },
    /// A client keeps the fragment to itself, so that the request would not match.
    #[error("a URL to sign has no fragment: encode '#' as %23 where it belongs to the path")]
    Fragment,
    /// A user and password never reach CloudFront.
    #[error("a URL to sign has no user and password before its host")]
    UserInfo,
    /// It would be read as a part of the signature.
    #[error("query parameter {name} belongs to the signature: leave it out of the URL")]
    ReservedParameter {
        /// The name as CloudFront knows it.
        name: &'static str,
    },
    /// In a policy `*` stands for any text, so this "one file" would be many.
    #[error("the URL of one file holds '*', which a policy reads as a wildcard: encode it as %2A")]
    WildcardInExactUrl,
    /// Such a pattern would cover other distributions, too.
    #[error("a wildcard may not stand in the scheme or host of a URL")]
    WildcardInHost,
    /// The signature says nothing about this URL.
    #[error("the URL is not covered by the policy")]
    NotCovered,
}

impl Resource {
    /// One file. A query is a part of its identity.
    ///
    /// In a custom policy CloudFront reads the `?` before that query as "any one character"; all of AWS's signers
    /// write it so, and it matches the URL itself.
    pub fn exact(url: &str) -> Result<Self, InvalidUrl> {
        check(url)?;
        if url.contains('*') {
            return Err(InvalidUrl::WildcardInExactUrl);
        }
        Ok(Self { text: url.to_owned(), is_pattern: false })
    }

    /// All files whose URLs match: `*` stands for any text and `?` for one character. A `*` at the end also covers
    /// any query, one before the end keeps within the path or within the query.
    pub fn wildcard(pattern: &str) -> Result<Self, InvalidUrl> {
        let path_at = check(pattern)?;
        if pattern[..path_at].contains('*') {
            return Err(InvalidUrl::WildcardInHost);
        }
        Ok(Self { text: pattern.to_owned(), is_pattern: true })
    }

    /// The URL or pattern as it stands in the policy.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a request for `url` (without the signature's parameters) falls under this.
    pub fn covers(&self, url: &str) -> bool {
        if self.is_pattern { matches(&self.text, url) } else { self.text == url }
    }
}

/// The length of scheme and host of a URL that can stand in a policy.
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

/// Whether CloudFront takes `url` for one of those that `pattern` stands for, as [`Resource::wildcard`] has it.
pub(in crate::sign) fn matches(pattern: &str, url: &str) -> bool {
    let (pattern, url) = (pattern.as_bytes(), url.as_bytes());
    let plain = pattern.iter().position(|byte| matches!(byte, b'*' | b'?')).unwrap_or(pattern.len());
    match (&pattern[plain..], url.strip_prefix(&pattern[..plain])) {
        (_, None) => false,
        // A folder with all its files, which is nearly every pattern, is decided here.
        (b"*", Some(_)) => true,
        (pattern, Some(url)) => matches_bytes(pattern, url),
    }
}

/// Follows all ways of matching at once, so that the time is pattern times text: `reached[p]` says that the first `p`
/// bytes of the pattern match the text read so far.
fn matches_bytes(pattern: &[u8], text: &[u8]) -> bool {
    let covers_the_rest = pattern.last() == Some(&b'*');
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_empty_stars(pattern, &mut reached);
    for &byte in text {
        if covers_the_rest && reached[pattern.len()] {
            return true;
        }
        let mut next = vec![false; reached.len()];
        for (p, &expected) in pattern.iter().enumerate().filter(|(p, _)| reached[*p]) {
            match expected {
                // A star takes the byte and stays, but it does not take the one between path and query.
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

/// A star also stands for no text at all.
fn skip_empty_stars(pattern: &[u8], reached: &mut [bool]) {
    for (p, _) in pattern.iter().enumerate().filter(|(_, byte)| **byte == b'*') {
        reached[p + 1] |= reached[p];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rules, one after the other, without a thought to time.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) | ([b'*'], _) => true,
            ([b'*', rest @ ..], _) => {
                plainly(rest, text)
                    || text.split_first().is_some_and(|(byte, text)| *byte != b'?' && plainly(pattern, text))
            }
            ([b'?', pattern @ ..], [_, text @ ..]) => plainly(pattern, text),
            ([a, pattern @ ..], [b, text @ ..]) => a == b && plainly(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn matching_follows_the_rules_whatever_stands_beside_what(pattern in "[ab?*]{0,8}", text in "[ab?]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), plainly(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn matching_takes_no_longer_than_pattern_times_text() {
        // Without the bound this would outlive the tests by far.
        let (pattern, text) = ("*a".repeat(200) + "b", "a".repeat(4000));
        assert!(!matches(&pattern, &text));
    }
}
