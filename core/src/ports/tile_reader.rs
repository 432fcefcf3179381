//! The port through which the tiles of a project's Merkle tree are read.

use async_trait::async_trait;

use crate::audit::tiles::Tile;
use crate::ports::AdapterError;

/// Reads the tiles of one tree.
#[async_trait]
pub trait TileReader: Send + Sync {
    /// Returns the bytes stored under the tile's path; `None` if there are none.
    async fn read(&self, tile: &Tile) -> Result<Option<Vec<u8>>, AdapterError>;
}
