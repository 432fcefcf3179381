//! Compares a checkpoint with one that was kept, by the tiles of the newer tree.

use std::collections::BTreeMap;

use async_trait::async_trait;
use streamio_core::audit::checkpoint::{Checkpoint, CheckpointError};
use streamio_core::audit::proofs::{ProofError, consistency, root_within};
use streamio_core::audit::tiles::Tile;
use streamio_core::ports::AdapterError;
use streamio_core::ports::tile_reader::TileReader;

use super::LogKey;

/// Where the tiles of the log come from.
#[async_trait]
pub trait TileSource: Send + Sync {
    /// The bytes of the tile with this path, such as `tile/0/000.p/8`; `None` if there is none.
    async fn tile(&self, path: &str) -> Result<Option<Vec<u8>>, AdapterError>;
}

/// By how much a log has grown: consistently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// The number of commits of the checkpoint that was kept; `None` if none was.
    pub from: Option<u64>,
    /// The number of commits of the new checkpoint.
    pub to: u64,
}

/// Why two checkpoints, which the log has both signed, are not of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fork {
    /// The new one has fewer commits.
    #[error("the new checkpoint is of {new} commits, and the kept one of {kept}: the log was set back")]
    Shrunk {
        /// The number of commits of the kept checkpoint.
        kept: u64,
        /// The number of commits of the new one.
        new: u64,
    },
    /// Both have the same number of commits, and different roots.
    #[error("both checkpoints are of {size} commits, and have different roots")]
    SameSize {
        /// The number of commits.
        size: u64,
    },
    /// The tiles lead to the root of the new checkpoint, and not to that of the kept one.
    #[error("the new log of {new} commits does not begin with the {kept} commits of the kept checkpoint")]
    Inconsistent {
        /// The number of commits of the kept checkpoint.
        kept: u64,
        /// The number of commits of the new one.
        new: u64,
    },
}

/// Why two checkpoints were not found to be of one log.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointsError {
    /// They are of two.
    #[error("the log has forked: {0}")]
    Fork(Fork),
    /// The checkpoint that was kept cannot be used.
    #[error("the kept checkpoint cannot be used: {0}")]
    Kept(#[source] CheckpointError),
    /// The new checkpoint cannot be used.
    #[error("the new checkpoint cannot be used: {0}")]
    New(#[source] CheckpointError),
    /// The tiles cannot be read.
    #[error("the tiles cannot be read")]
    Tiles(#[source] ProofError),
    /// The tiles are not those of the new checkpoint, so they show nothing about the kept one.
    #[error("the tiles do not have the root of the new checkpoint")]
    Damaged,
}

/// The tiles of a source, each read once: what shows one thing must show the other.
struct Kept<'a> {
    source: &'a dyn TileSource,
    read: tokio::sync::Mutex<BTreeMap<Tile, Option<Vec<u8>>>>,
}

#[async_trait]
impl TileReader for Kept<'_> {
    async fn read(&self, tile: &Tile) -> Result<Option<Vec<u8>>, AdapterError> {
        if let Some(known) = self.read.lock().await.get(tile) {
            return Ok(known.clone());
        }
        let bytes = self.source.tile(&tile.to_string()).await?;
        self.read.lock().await.insert(*tile, bytes.clone());
        Ok(bytes)
    }
}

/// Checks that the log of the checkpoint `new` begins with all commits of the one that was `kept`. Both must be signed with the key.
pub async fn compare_checkpoints(
    source: &dyn TileSource,
    key: &LogKey,
    kept: Option<&str>,
    new: &str,
) -> Result<Growth, CheckpointsError> {
    let new = key.verify(new).map_err(CheckpointsError::New)?;
    let Some(kept) = kept else { return Ok(Growth { from: None, to: new.size() }) };
    let kept = key.verify(kept).map_err(CheckpointsError::Kept)?;
    let fork = |fork| Err(CheckpointsError::Fork(fork));
    let sizes = (kept.size(), new.size());
    if sizes.1 < sizes.0 {
        return fork(Fork::Shrunk { kept: sizes.0, new: sizes.1 });
    }
    if sizes.0 == sizes.1 && kept.root() != new.root() {
        return fork(Fork::SameSize { size: sizes.0 });
    }
    if sizes.0 < sizes.1 && !begins_with(source, &new, &kept).await? {
        return fork(Fork::Inconsistent { kept: sizes.0, new: sizes.1 });
    }
    Ok(Growth { from: Some(sizes.0), to: sizes.1 })
}

async fn begins_with(
    source: &dyn TileSource,
    new: &Checkpoint,
    kept: &Checkpoint,
) -> Result<bool, CheckpointsError> {
    let tiles = Kept { source, read: tokio::sync::Mutex::default() };
    let proof = consistency(&tiles, kept.size(), new.size()).await.map_err(CheckpointsError::Tiles)?;
    if proof.verify(kept.root(), new.root()).is_ok() {
        return Ok(true);
    }
    // Either the tiles show a fork, or they are damaged: another root of the old tree follows from them, which must lead to the new one.
    let old = root_within(&tiles, kept.size(), new.size()).await;
    let old = old.map_err(|error| CheckpointsError::Tiles(error.into()))?;
    if old != kept.root() && proof.verify(old, new.root()).is_ok() {
        Ok(false)
    } else {
        Err(CheckpointsError::Damaged)
    }
}

#[cfg(test)]
mod tests;
