//! The calls that both Workers get.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answer;

/// Where the number of the request goes. It is as long as the eight digits that take its place.
const NUMBER: &str = "{number}";

/// One call of the API, repeated.
pub(super) struct Call {
    /// `POST /…`, for the report.
    pub(super) name: &'static str,
    /// Path and query, perhaps with [`NUMBER`] in it.
    pub(super) target: &'static str,
    /// The same for the body.
    pub(super) body: &'static str,
    /// Returns what is wrong with ours and the peer's answer to request number 1.
    pub(super) check: fn(&Value, &Value) -> Result<(), String>,
    /// Whether the runtime signs for each request: for a URL of the CDN.
    pub(super) is_signed_by_host: bool,
}

impl Call {
    /// What a customer's backend sends: two of the fields become signed headers.
    pub(super) fn upload() -> Self {
        Self {
            name: "POST /upload-url",
            target: "/upload-url",
            body: r#"{"filename":"clip-{number}.mp4","path":"films/2026/","contentType":"video/mp4","size":1048576}"#,
            check: answer::check_upload,
            is_signed_by_host: false,
        }
    }

    /// Each request is for another film, so that no signature can serve twice.
    pub(super) fn playback() -> Self {
        Self {
            name: "POST /playback-url",
            target: "/playback-url?key=processed/acme/films/clip-{number}.mp4",
            body: r#"{"ttl":3600}"#,
            check: answer::check_playback,
            is_signed_by_host: true,
        }
    }

    /// Each request is for the same film.
    pub(super) fn same_playback() -> Self {
        Self { target: "/playback-url?key=processed/acme/films/clip-00000001.mp4", ..Self::playback() }
    }

    /// Path and query, and body, of request number 1.
    pub(super) fn first(&self) -> (String, String) {
        let numbered = |text: &str| text.replace(NUMBER, "00000001");
        (numbered(self.target), numbered(self.body))
    }
}

/// The parameters of a URL's query, by name.
pub(super) fn parameters(url: &str) -> BTreeMap<&str, &str> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|parameter| parameter.split_once('=')).collect()
}

#[cfg(test)]
mod tests {
    use super::{Call, NUMBER};

    #[test]
    fn a_request_is_as_long_as_every_other() {
        assert_eq!(NUMBER.len(), "00000001".len());
        for call in [Call::upload(), Call::playback(), Call::same_playback()] {
            let (target, body) = call.first();
            assert_eq!((target.len(), body.len()), (call.target.len(), call.body.len()));
            assert!(!target.contains('{') && !body.contains(NUMBER));
        }
    }
}
