//! Identifiers. Each is validated when it is constructed.

use std::fmt;
use std::str::FromStr;

use base32ct::{Base32Unpadded, Encoding as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::object_key::SourceKey;

/// Text that is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: {rule}")]
pub struct InvalidId {
    /// What was expected, such as `project id`.
    pub kind: &'static str,
    /// The required form.
    pub rule: &'static str,
}

/// Characters of base32 in a derived identifier: 130 bits of a SHA-256.
const DERIVED_LENGTH: usize = 26;

fn base32(digest: &[u8]) -> String {
    let mut text = Base32Unpadded::encode_string(digest);
    text.truncate(DERIVED_LENGTH);
    text
}

/// Base32 of the SHA-256 of `parts`. Each part is preceded by its length, so that different lists never have the same
/// input.
fn derive(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    base32(&hasher.finalize())
}

fn is_derived(text: &str) -> bool {
    text.len() == DERIVED_LENGTH && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

macro_rules! text_id {
    ($(#[$docs:meta])* $name:ident, $kind:literal, $rule:literal, $accepts:expr) => {
        $(#[$docs])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId { kind: $kind, rule: $rule }) }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A tenant. `[a-z0-9][a-z0-9-]{1,38}[a-z0-9]`: 3 to 40 characters, safe in keys, URLs and DNS labels.
    ProjectId,
    "project id",
    "3 to 40 of a-z, 0-9 and -, neither beginning nor ending with -",
    |text| {
        let bytes = text.as_bytes();
        (3..=40).contains(&bytes.len())
            && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-'
    }
);

text_id!(
    /// One source key of one project: `vid_` and 26 characters of base32, computable from the key alone.
    VideoId,
    "video id",
    "vid_ followed by 26 of a-z and 2-7",
    |text| text.strip_prefix("vid_").is_some_and(is_derived)
);

text_id!(
    /// One issued upload or playback URL: `grt_` and 26 characters of base32.
    GrantId,
    "grant id",
    "grt_ followed by 26 of a-z and 2-7",
    |text| text.strip_prefix("grt_").is_some_and(is_derived)
);

text_id!(
    /// Names an API key without revealing it: `key_` and 26 characters of base32, derived from the key's hash.
    KeyId,
    "key id",
    "key_ followed by 26 of a-z and 2-7",
    |text| text.strip_prefix("key_").is_some_and(is_derived)
);

text_id!(
    /// Identifies a commit within its stream by its cause, so that a retry finds its own commit.
    CommitId,
    "commit id",
    "cmt_ followed by 26 of a-z and 2-7",
    |text| text.strip_prefix("cmt_").is_some_and(is_derived)
);

text_id!(
    /// An endpoint that receives webhooks: `whk_` and 26 characters of base32.
    WebhookId,
    "webhook id",
    "whk_ followed by 26 of a-z and 2-7",
    |text| text.strip_prefix("whk_").is_some_and(is_derived)
);

text_id!(
    /// A message to webhook endpoints: `msg_` and 26 characters of base32, derived from the event that it is about.
    MessageId,
    "message id",
    "msg_ followed by 26 of a-z and 2-7",
    |text| text.strip_prefix("msg_").is_some_and(is_derived)
);

text_id!(
    /// A job that sends messages to an endpoint again: `rpl_` and 26 characters of base32.
    ReplayId,
    "replay id",
    "rpl_ followed by 26 of a-z and 2-7",
    |text| text.strip_prefix("rpl_").is_some_and(is_derived)
);

impl VideoId {
    /// The id of the video at `key`: base32 (RFC 4648, lower case) of SHA-256(project id, 0x00, source key), cut to
    /// 26 characters.
    pub fn of(key: &SourceKey) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(key.project_id().as_str());
        hasher.update([0]);
        hasher.update(key.as_str());
        Self(format!("vid_{}", base32(&hasher.finalize())))
    }
}

impl GrantId {
    /// The grant that follows from `parts`: the project, the kind of grant, and what identifies the request (its
    /// Idempotency-Key and content) or, without such a key, random bytes.
    pub fn derived_from(parts: &[&[u8]]) -> Self {
        Self(format!("grt_{}", derive(parts)))
    }
}

impl KeyId {
    /// The id of the API key whose SHA-256 is `hash`.
    pub fn of_hash(hash: &[u8; 32]) -> Self {
        Self(format!("key_{}", derive(&[b"api key", hash])))
    }
}

impl WebhookId {
    /// The endpoint that follows from `parts`: the project, and what identifies the request (its Idempotency-Key) or, without such a
    /// key, random bytes.
    pub fn derived_from(parts: &[&[u8]]) -> Self {
        Self(format!("whk_{}", derive(parts)))
    }
}

impl MessageId {
    /// The message that `cause` leads to: the event that it is about, or what identifies the request for a test. Equal causes give equal
    /// ids.
    pub fn derived_from(cause: &[&str]) -> Self {
        let parts: Vec<&[u8]> = cause.iter().map(|part| part.as_bytes()).collect();
        Self(format!("msg_{}", derive(&parts)))
    }
}

impl ReplayId {
    /// The replay that follows from `parts`: the project, the endpoint, and what identifies the request.
    pub fn derived_from(parts: &[&str]) -> Self {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        Self(format!("rpl_{}", derive(&parts)))
    }
}

impl CommitId {
    /// The id of the commit that `cause` leads to. Equal causes give equal ids: pass everything that distinguishes the
    /// cause (the S3 event's identity, the Idempotency-Key, the causing event and the decision) and nothing that
    /// changes between retries, such as the time.
    pub fn derived_from(cause: &[&str]) -> Self {
        let parts: Vec<&[u8]> = cause.iter().map(|part| part.as_bytes()).collect();
        Self(format!("cmt_{}", derive(&parts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn project_ids_are_exactly_the_documented_pattern(text in "[a-z0-9-]{0,42}|.*") {
            let long_enough = (3..=40).contains(&text.len());
            let alphabet = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            let edges = !text.starts_with('-') && !text.ends_with('-');
            prop_assert_eq!(text.parse::<ProjectId>().is_ok(), long_enough && alphabet && edges);
        }

        #[test]
        fn every_project_id_round_trips(text in "[a-z0-9][a-z0-9-]{1,38}[a-z0-9]") {
            let id: ProjectId = text.parse().unwrap();
            prop_assert_eq!(serde_json::from_str::<ProjectId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        }

        #[test]
        fn different_causes_give_different_commits(a in prop::collection::vec(".*", 0..4), b in prop::collection::vec(".*", 0..4)) {
            let id = |parts: &[String]| CommitId::derived_from(&parts.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(a == b, id(&a) == id(&b));
            prop_assert_eq!(id(&a).as_str().parse::<CommitId>(), Ok(id(&a)));
        }
    }

    #[test]
    fn a_derived_id_has_its_prefix_and_26_characters_of_base32() {
        let is_id = |text: &str| text.parse::<VideoId>().is_ok();
        assert!(is_id("vid_abcdefghijklmnopqrstuvwxyz") && is_id("vid_22222222222222222222277777"));
        for other in [
            "",
            "vid_",
            "abcdefghijklmnopqrstuvwxyz",
            "key_abcdefghijklmnopqrstuvwxyz",
            "vid_abcdefghijklmnopqrstuvwxy",
            "vid_abcdefghijklmnopqrstuvwxyz2",
            "vid_abcdefghijklmnopqrstuvwxy1",
            "vid_abcdefghijklmnopqrstuvwxy8",
            "vid_Abcdefghijklmnopqrstuvwxyz",
        ] {
            assert!(!is_id(other), "{other}");
        }
    }

    #[test]
    fn a_video_id_is_computable_from_the_key_alone() {
        let key: SourceKey = "projects/acme/films/clip.mp4".parse().unwrap();
        // printf 'acme\0projects/acme/films/clip.mp4' | sha256sum, in base32
        assert_eq!(VideoId::of(&key).as_str(), "vid_tbkj5m62dvafwldlqbvftya3f3");
    }
}
