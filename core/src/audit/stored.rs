//! Reads stored tiles, and checks their form.

use streamio_events::commit::CommitHash;

use super::node_hash::NodeHash;
use super::tiles::{self, Tile};
use crate::ports::AdapterError;
use crate::ports::tile_reader::TileReader;

/// A tile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// The store failed.
    #[error("{tile} could not be read")]
    Read {
        /// The tile.
        tile: Tile,
        /// The store's error.
        #[source]
        source: AdapterError,
    },
    /// The store has no such tile.
    #[error("{tile} is missing")]
    Missing {
        /// The tile.
        tile: Tile,
    },
    /// The contents have another form than the tile's name states.
    #[error("{tile} has {found} bytes, which are not {} items of {} bytes", tile.width(), tile.kind().item_bytes())]
    Malformed {
        /// The tile.
        tile: Tile,
        /// The number of bytes that are stored.
        found: usize,
    },
}

/// Returns the hashes of a tile. Whether they are those of a certain tree is not checked.
pub async fn hashes(reader: &dyn TileReader, tile: Tile) -> Result<Vec<NodeHash>, TileError> {
    items(reader, tile, tiles::read_hashes).await
}

/// Returns the entries of an entry bundle. Whether they are those of a certain tree is not checked.
pub async fn entries(reader: &dyn TileReader, tile: Tile) -> Result<Vec<CommitHash>, TileError> {
    items(reader, tile, tiles::read_entries).await
}

/// A partial tile may have been removed when the tile became full; its items are then the first ones of the full tile.
async fn items<T>(
    reader: &dyn TileReader,
    tile: Tile,
    parse: fn(&[u8]) -> Option<Vec<T>>,
) -> Result<Vec<T>, TileError> {
    let (mut found, mut bytes) = (tile, read(reader, tile).await?);
    if bytes.is_none() && tile.is_partial() {
        found = tile.full();
        bytes = read(reader, found).await?;
    }
    let bytes = bytes.ok_or(TileError::Missing { tile })?;
    let items = parse(&bytes).filter(|items| items.len() == usize::from(found.width()));
    let mut items = items.ok_or(TileError::Malformed { tile: found, found: bytes.len() })?;
    items.truncate(tile.width().into());
    Ok(items)
}

async fn read(reader: &dyn TileReader, tile: Tile) -> Result<Option<Vec<u8>>, TileError> {
    reader.read(&tile).await.map_err(|source| TileError::Read { tile, source })
}
