//! CDN URLs of objects in the PROCESSED bucket.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Encodes everything but slashes and unreserved characters (RFC 3986). This includes `*` and `?`, which are wildcards in
/// a policy.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The URL of the object `key` under `base_url`, which must have no trailing slash.
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
