//! Decodes the path of a URL to the key of an object.

use percent_encoding::percent_decode_str;

/// A path that is not a percent-encoded key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path is not a percent-encoded UTF-8 key")]
pub(super) struct MalformedPath;

/// The key that a path (with its leading slash) names: percent-decoded exactly once. `+`, dots and slashes have no
/// special meaning: a key is a name in a bucket, not a file path.
pub(super) fn key_of(path: &str) -> Result<String, MalformedPath> {
    let encoded = path.strip_prefix('/').ok_or(MalformedPath)?;
    let complete = encoded.split('%').skip(1).all(|after| {
        let after = after.as_bytes();
        after.len() >= 2 && after[..2].iter().all(u8::is_ascii_hexdigit)
    });
    if !complete {
        return Err(MalformedPath);
    }
    percent_decode_str(encoded).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| MalformedPath)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    const PATH: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

    proptest! {
        #[test]
        fn decoding_reverses_encoding(key: String) {
            prop_assert_eq!(key_of(&format!("/{}", utf8_percent_encode(&key, PATH))), Ok(key));
        }

        #[test]
        fn a_key_that_looks_encoded_is_decoded_only_once(key in r"(%[0-9a-fA-F]{2}|[a-z/+.]){0,12}") {
            let path = format!("/{}", utf8_percent_encode(&key, PATH));
            prop_assert_eq!(key_of(&path), Ok(key));
        }

        #[test]
        fn every_byte_is_decoded_or_the_path_is_refused(path in r"/[ -~]{0,20}") {
            let bytes = path.as_bytes();
            let (mut at, mut decoded, mut fits) = (1, Vec::new(), true);
            while at < bytes.len() {
                if bytes[at] == b'%' {
                    let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
                    match hex.filter(|hex| !hex.starts_with('+')).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                        Some(byte) => decoded.push(byte),
                        None => fits = false,
                    }
                    at += 3;
                } else {
                    decoded.push(bytes[at]);
                    at += 1;
                }
            }
            let expected = String::from_utf8(decoded).ok().filter(|_| fits).ok_or(MalformedPath);
            prop_assert_eq!(key_of(&path), expected);
        }
    }

    #[test]
    fn a_malformed_encoding_is_refused() {
        for bad in ["", "*", "a.mp4", "/%", "/%4", "/%zz", "/a%", "/%ff", "/%c3%28", "/%+1", "/%%41"] {
            assert_eq!(key_of(bad), Err(MalformedPath), "{bad}");
        }
    }

    #[test]
    fn dots_slashes_and_plus_signs_have_no_special_meaning() {
        assert_eq!(key_of("/a/../b//c+d"), Ok("a/../b//c+d".into()));
        assert_eq!(key_of("/%2e%2E%2fa%00%2B"), Ok("../a\0+".into()));
        assert_eq!(key_of("/"), Ok(String::new()));
        assert_eq!(key_of("/é"), Ok("é".into()));
    }
}
