//! The port through which the tiles and the checkpoint of a project's Merkle tree are stored.

use std::sync::Arc;

use async_trait::async_trait;
use streamio_events::id::ProjectId;

use crate::audit::tiles::Tile;
use crate::audit::tree::TileFile;
use crate::ports::AdapterError;
use crate::ports::tile_reader::TileReader;

/// Why tiles were not stored.
#[derive(Debug, thiserror::Error)]
pub enum CreateTileError {
    /// Other bytes are stored under the tile's path. They are left as they are.
    #[error("{0} is stored with other contents")]
    Differs(Tile),
    /// The store failed. Some of the tiles may be stored.
    #[error("the tiles could not be stored")]
    Store(#[source] AdapterError),
}

/// Stores the tiles and the checkpoint of one tree.
#[async_trait]
pub trait TileStore: TileReader {
    /// Stores tiles that do not exist. One that exists must have the same bytes, and stays as it is. All are durable when this returns.
    async fn create(&self, files: &[TileFile]) -> Result<(), CreateTileError>;

    /// Removes the partial tiles with the kinds and indexes of `full`, which are full tiles that are stored.
    async fn remove_partial(&self, full: &[Tile]) -> Result<(), AdapterError>;

    /// Returns the stored checkpoint, a signed note; `None` if there is none yet.
    async fn checkpoint(&self) -> Result<Option<String>, AdapterError>;

    /// Stores the checkpoint `after` if the stored one is `before`, and returns whether it is so. It is durable when this returns.
    async fn replace_checkpoint(&self, before: Option<&str>, after: &str) -> Result<bool, AdapterError>;
}

/// The stores of the projects' trees.
pub trait TileStores: Send + Sync {
    /// The store of the project's tree. A project without a tree has one without tiles.
    fn of_project(&self, project_id: &ProjectId) -> Arc<dyn TileStore>;
}
