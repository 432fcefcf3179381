//! The API calls that are sent to both Workers.

use serde_json::Value;

use super::responses;

/// The placeholder for the request's number. It has the length of the eight digits that replace it.
const NUMBER: &str = "{number}";

/// The policy is that of the folder until 2026-01-02T04:04:05Z, the signature a text of the right length: the CDN of the bench checks
/// neither.
const PLAYLIST_TARGET: &str = "/play/processed/acme/films/clip-00000001.mp4.hls/g1-a1/720p/video.m3u8?Policy=eyJTdGF0ZW1lbnQiOlt7IlJlc291cmNlIjoiaHR0cHM6Ly9kMTExMTExYWJjZGVmOC5jbG91ZGZyb250Lm5ldC9wcm9jZXNzZWQvYWNtZS9maWxtcy9jbGlwLTAwMDAwMDAxLm1wNC5obHMvKiIsIkNvbmRpdGlvbiI6eyJEYXRlTGVzc1RoYW4iOnsiQVdTOkVwb2NoVGltZSI6MTc2NzMyNjY0NX19fV19&Signature=MEYCIQDkIgHIvUy3Z8pVQL9YUyOLet3yXbFpzzYLmYrr1ijGfAIhAPKDrHYPnvrqOqW5uZ7PfxIhfmXmfmqV~jyYTzr8WP0I&Key-Pair-Id=K2JCJMDEHXQW5F&Hash-Algorithm=SHA256";

/// One call of the API, repeated.
pub(super) struct Call {
    /// Method and path, for the report.
    pub(super) name: &'static str,
    /// Path and query. May contain [`NUMBER`].
    pub(super) target: &'static str,
    /// The body; empty for a GET request. May contain [`NUMBER`].
    pub(super) body: &'static str,
    /// Whether responses are JSON; otherwise they are compared as texts.
    pub(super) is_json: bool,
    /// Compares the responses of ours and of the peer to request number 1. Returns an error that describes the first difference.
    pub(super) check: fn(&Value, &Value) -> Result<(), String>,
    /// What the runtime has to do for each request beyond reading and answering it.
    pub(super) host_work: HostWork,
}

/// Work of the runtime that no Worker can avoid (`edge/bench/floor.mjs`).
#[derive(Clone, Copy)]
pub(super) enum HostWork {
    /// It sends the grant to the queue.
    Grant,
    /// It signs for the CDN and sends the grant to the queue.
    SignedGrant,
    /// It fetches a playlist from the CDN.
    Fetch,
}

impl HostWork {
    /// Returns the name by which the floor knows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::SignedGrant => "signed-grant",
            Self::Fetch => "fetch",
        }
    }
}

impl Call {
    /// A request for an upload URL. Two of its fields become signed headers.
    pub(super) fn upload() -> Self {
        Self {
            name: "POST /upload-url",
            target: "/upload-url",
            body: r#"{"filename":"clip-{number}.mp4","path":"films/2026/","contentType":"video/mp4","size":1048576}"#,
            is_json: true,
            check: responses::check_upload,
            host_work: HostWork::Grant,
        }
    }

    /// A request for a playback URL. Each request has another key, so that no two share a signature.
    pub(super) fn playback() -> Self {
        Self {
            name: "POST /playback-url",
            target: "/playback-url?key=processed/acme/films/clip-{number}.mp4",
            body: r#"{"ttl":3600}"#,
            is_json: true,
            check: responses::check_playback,
            host_work: HostWork::SignedGrant,
        }
    }

    /// A request for a playback URL that always has the same key.
    pub(super) fn same_playback() -> Self {
        Self { target: "/playback-url?key=processed/acme/films/clip-00000001.mp4", ..Self::playback() }
    }

    /// A player's request for a media playlist of two hours (`edge/bench/cdn.mjs`). The query has the length of an ECDSA signature.
    pub(super) fn playlist() -> Self {
        Self {
            name: "GET /play, two hours",
            target: PLAYLIST_TARGET,
            body: "",
            is_json: false,
            check: responses::check_playlist,
            host_work: HostWork::Fetch,
        }
    }

    /// Returns the target and the body of request number 1.
    pub(super) fn first(&self) -> (String, String) {
        let numbered = |text: &str| text.replace(NUMBER, "00000001");
        (numbered(self.target), numbered(self.body))
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, NUMBER};

    #[test]
    fn all_requests_of_a_call_have_the_same_length() {
        assert_eq!(NUMBER.len(), "00000001".len());
        for call in [Call::upload(), Call::playback(), Call::same_playback(), Call::playlist()] {
            let (target, body) = call.first();
            assert_eq!((target.len(), body.len()), (call.target.len(), call.body.len()));
            assert!(!target.contains('{') && !body.contains(NUMBER));
        }
    }
}
