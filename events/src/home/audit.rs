//! Calls about a project's transparency log.

use serde::{Deserialize, Serialize};

use super::Page;
use crate::commit::CommitHash;
use crate::id::{ProjectId, VideoId};
use crate::stream::StreamId;

/// A call about the transparency log of a project. On the wire an object whose field `do` names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum AuditCall {
    /// The last checkpoint. Result: `checkpoint`.
    Checkpoint,
    /// The key with which checkpoints are verified. Result: `publicKey`.
    PublicKey,
    /// A file of the tree. Result: `tile`.
    Tile {
        /// Its path, such as `tile/0/x001/234`.
        path: String,
    },
    /// Proofs of the commits of a video, the first one first. Result: `videoProof`.
    VideoProof {
        /// The video.
        video_id: VideoId,
        /// The cursor to start after.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// The maximum number of commits, 1 to [`MAX_PAGE_ITEMS`](super::MAX_PAGE_ITEMS).
        limit: u16,
    },
}

/// The result of a call about the transparency log. On the wire an object with one field, which names the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuditResult {
    /// The last checkpoint: a C2SP `tlog-checkpoint` in a `signed-note`.
    Checkpoint(String),
    /// The verifier key: `<name>+<id>+<base64>`.
    PublicKey(String),
    /// The bytes of the tile.
    Tile(#[serde(with = "hexadecimal")] Vec<u8>),
    /// A page of the video's commits.
    VideoProof(Page<CommitProof>),
}

/// The proof that a commit is in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitProof {
    /// The stream.
    pub stream: StreamId,
    /// The version of the commit's first event.
    pub first: u64,
    /// The version of its last event.
    pub last: u64,
    /// The place of the commit in the project's feed, which is the index of the leaf.
    pub place: u64,
    /// The hash of the commit, which is the entry of the leaf.
    pub hash: CommitHash,
    /// A C2SP `tlog-proof@v1`; `None` if no checkpoint has the commit yet.
    pub proof: Option<String>,
}

impl AuditResult {
    /// Whether all that it states belongs to the project.
    pub fn is_of(&self, project_id: &ProjectId) -> bool {
        let is_origin =
            |origin: &str| origin.rsplit_once('/').is_some_and(|(_, id)| id == project_id.as_str());
        match self {
            Self::Checkpoint(note) => note.lines().next().is_some_and(is_origin),
            Self::PublicKey(key) => key.split('+').next().is_some_and(is_origin),
            Self::VideoProof(page) => page.data.iter().all(|it| it.stream.project_id() == project_id),
            // A tile has hashes only; whether they belong to the tree is verified with the checkpoint.
            Self::Tile(_) => true,
        }
    }
}

/// Bytes as hexadecimal digits in JSON.
mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base16ct::lower::encode_string(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        base16ct::lower::decode_vec(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_of_another_project_is_recognised() {
        let project = |id: &str| id.parse::<ProjectId>().unwrap();
        let hash = CommitHash::GENESIS;
        let stream = "project/acme".parse().unwrap();
        let proof = CommitProof { stream, first: 1, last: 1, place: 0, hash, proof: None };
        for result in [
            AuditResult::Checkpoint("streamio.example/acme\n1\nAAAA\n".to_owned()),
            AuditResult::PublicKey("streamio.example/acme+01020304+AA==".to_owned()),
            AuditResult::VideoProof(Page { data: vec![proof], next: None }),
        ] {
            assert!(result.is_of(&project("acme")), "{result:?}");
            for other in ["zebra", "cme", "acme-2"] {
                assert!(!result.is_of(&project(other)), "{result:?} {other}");
            }
        }
    }

    #[test]
    fn the_bytes_of_a_tile_survive_the_wire() {
        let tile = AuditResult::Tile((0..=255).collect());
        let json = serde_json::to_string(&tile).unwrap();
        assert_eq!(serde_json::from_str::<AuditResult>(&json).unwrap(), tile);
    }
}
