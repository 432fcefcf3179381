//! What the home region of these tests answers to calls about the transparency log: a log with one commit, as documented.

use streamio_events::commit::CommitHash;
use streamio_events::home::{AuditCall, AuditResult, CommitProof, HomeError, Page};
use streamio_events::id::ProjectId;
use streamio_events::stream::StreamId;

/// The checkpoint. Its signature is none.
pub(crate) const CHECKPOINT: &str = "streamio.example/acme
1
z7LgNNvN5nzwBKpRUZyM0GGuwm6Y1vIMhDN7pFh2UyI=

— streamio.example/acme AQIDBBISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhI=
";

/// The path of the only tile.
const TILE: &str = "tile/0/000.p/1";
/// Its bytes.
pub(crate) const TILE_BYTES: [u8; 32] = [7; 32];

/// The only video.
const VIDEO: &str = "vid_tbkj5m62dvafwldlqbvftya3f3";

/// The answer to `call`. Only the project `acme` has a log.
pub(crate) fn answer(project_id: &ProjectId, call: &AuditCall) -> Result<AuditResult, HomeError> {
    if project_id.as_str() != "acme" {
        return Err(HomeError::Conflict { text: "This deployment has no audit log yet.".to_owned() });
    }
    Ok(match call {
        AuditCall::Checkpoint => AuditResult::Checkpoint(CHECKPOINT.to_owned()),
        AuditCall::PublicKey => {
            let key = "streamio.example/acme+01020304+AQICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC";
            AuditResult::PublicKey(key.to_owned())
        }
        AuditCall::Tile { path } if path == TILE => AuditResult::Tile(TILE_BYTES.to_vec()),
        AuditCall::Tile { .. } => return Err(HomeError::NotFound),
        AuditCall::VideoProof { video_id, .. } if video_id.as_str() != VIDEO => {
            return Err(HomeError::NotFound);
        }
        AuditCall::VideoProof { video_id, .. } => {
            let hash = CommitHash::from_bytes([9; 32]);
            let stream = StreamId::Video(project_id.clone(), video_id.clone());
            let proof = Some(format!("c2sp.org/tlog-proof@v1\nindex 0\n\n{CHECKPOINT}"));
            let first = CommitProof { stream, first: 1, last: 1, place: 0, hash, proof };
            let second = CommitProof { first: 2, last: 3, place: 1, proof: None, ..first.clone() };
            AuditResult::VideoProof(Page { data: vec![first, second], next: None })
        }
    })
}
