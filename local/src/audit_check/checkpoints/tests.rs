use std::collections::BTreeMap;
use std::sync::Mutex;

use streamio_core::audit::keys::AuditKeys;
use streamio_core::audit::tree::RightEdge;
use streamio_events::commit::CommitHash;
use streamio_events::id::ProjectId;

use super::*;

/// The tiles of a tree, as a platform has them: earlier partial tiles are removed when one is full.
#[derive(Default)]
struct Tiles {
    tiles: BTreeMap<String, Vec<u8>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl TileSource for Tiles {
    async fn tile(&self, path: &str) -> Result<Option<Vec<u8>>, AdapterError> {
        self.asked.lock().unwrap().push(path.to_owned());
        Ok(self.tiles.get(path).cloned())
    }
}

fn keys() -> AuditKeys {
    AuditKeys::new(&[7; 32], "streamio.example").unwrap()
}

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

fn key() -> LogKey {
    keys().signer(&acme()).verifier_key().to_string().parse().unwrap()
}

/// The tree of the first commits, of which those from `fork` on are others, with its signed checkpoint.
fn tree(size: u64, fork: u64) -> (Tiles, String) {
    let mut edge = RightEdge::empty();
    let hash = |index: u64| {
        let mut bytes = [u8::from(index >= fork); 32];
        bytes[..8].copy_from_slice(&index.to_be_bytes());
        CommitHash::from_bytes(bytes)
    };
    let written = edge.append((0..size).map(hash));
    let tiles = written.into_iter().map(|file| (file.tile.to_string(), file.bytes)).collect();
    let signer = keys().signer(&acme());
    let checkpoint = Checkpoint::new(signer.verifier_key().name(), size, edge.root()).unwrap();
    (Tiles { tiles, ..Tiles::default() }, checkpoint.sign(&[&signer]).unwrap().to_string())
}

const NEVER: u64 = u64::MAX;

async fn compared(tiles: &Tiles, kept: &str, new: &str) -> Result<Growth, CheckpointsError> {
    compare_checkpoints(tiles, &key(), Some(kept), new).await
}

#[tokio::test]
async fn a_log_that_grows_is_consistent_and_its_tiles_are_read_once() {
    let sizes = [0, 1, 2, 255, 256, 300, 512, 700, 1000];
    for (index, new) in sizes.into_iter().enumerate() {
        for kept in sizes.into_iter().take(index + 1) {
            let (tiles, note) = tree(new, NEVER);
            let growth = compared(&tiles, &tree(kept, NEVER).1, &note).await.unwrap();
            assert_eq!(growth, Growth { from: Some(kept), to: new });
            let mut asked = tiles.asked.into_inner().unwrap();
            asked.sort();
            assert!(asked.windows(2).all(|pair| pair[0] != pair[1]), "{asked:?}");
        }
    }
    let (tiles, note) = tree(5, NEVER);
    let first = compare_checkpoints(&tiles, &key(), None, &note).await.unwrap();
    assert_eq!(first, Growth { from: None, to: 5 });
}

#[tokio::test]
async fn a_fork_is_found_wherever_it_is() {
    for (kept, new) in [(1, 2), (2, 300), (256, 300), (300, 1000), (512, 1000), (700, 701)] {
        for fork in [0, kept / 2, kept - 1] {
            let (tiles, note) = tree(new, fork);
            let error = compared(&tiles, &tree(kept, NEVER).1, &note).await.unwrap_err();
            let expected = Fork::Inconsistent { kept, new };
            assert!(
                matches!(error, CheckpointsError::Fork(found) if found == expected),
                "{kept} {new}: {error}"
            );
        }
        let (tiles, note) = tree(new, kept);
        compared(&tiles, &tree(kept, NEVER).1, &note).await.unwrap();
    }
    let (tiles, note) = tree(300, 299);
    let error = compared(&tiles, &tree(300, NEVER).1, &note).await.unwrap_err();
    assert!(matches!(error, CheckpointsError::Fork(Fork::SameSize { size: 300 })), "{error}");
    let error = compared(&tiles, &tree(301, NEVER).1, &note).await.unwrap_err();
    assert!(matches!(error, CheckpointsError::Fork(Fork::Shrunk { kept: 301, new: 300 })), "{error}");
}

/// Tiles are not signed: other ones than those of the new checkpoint accuse nobody.
#[tokio::test]
async fn damaged_or_missing_tiles_are_no_fork() {
    for (kept, new) in [(2, 300), (256, 300), (300, 1000)] {
        let (mut tiles, note) = tree(new, NEVER);
        for bytes in tiles.tiles.values_mut() {
            bytes[5] ^= 1;
        }
        let error = compared(&tiles, &tree(kept, NEVER).1, &note).await.unwrap_err();
        assert!(matches!(error, CheckpointsError::Damaged), "{kept} {new}: {error}");
        tiles.tiles.clear();
        let error = compared(&tiles, &tree(kept, NEVER).1, &note).await.unwrap_err();
        assert!(matches!(error, CheckpointsError::Tiles(_)), "{kept} {new}: {error}");
    }
}

#[tokio::test]
async fn checkpoints_that_the_key_has_not_signed_are_refused() {
    let ((tiles, note), kept) = (tree(300, NEVER), tree(200, NEVER).1);
    let error = compared(&tiles, &kept, &note.replace("\n300\n", "\n301\n")).await.unwrap_err();
    assert!(matches!(error, CheckpointsError::New(_)), "{error}");
    let error = compared(&tiles, &kept.replace("\n200\n", "\n201\n"), &note).await.unwrap_err();
    assert!(matches!(error, CheckpointsError::Kept(_)), "{error}");
}
