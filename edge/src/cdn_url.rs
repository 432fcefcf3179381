//! Where an object of PROCESSED lies on the CDN.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Slashes stay; everything else that is not unreserved (RFC 3986) is encoded. That includes `*` and `?`, which a
/// policy would take for wildcards.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The URL of the object `key` below `base_url`, which has no slash at its end.
pub fn of_key(base_url: &str, key: &str) -> String {
    format!("{base_url}/{}", utf8_percent_encode(key, PATH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_unreserved_characters_and_slashes_is_encoded() {
        assert_eq!(of_key("https://cdn.example", "a/B-9_.~"), "https://cdn.example/a/B-9_.~");
        assert_eq!(of_key("https://cdn.example", "*?#+% é"), "https://cdn.example/%2A%3F%23%2B%25%20%C3%A9");
    }
}
