//! Why a tree was not brought up to date.

use super::super::checkpoint::{CheckpointError, InvalidCheckpoint};
use super::super::node_hash::NodeHash;
use super::super::note::InvalidNote;
use super::super::stored::TileError;
use super::super::tiles::Tile;
use crate::ports::AdapterError;
use crate::ports::tile_store::CreateTileError;

/// Why a tree was not brought up to date. Nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum IntegrationError {
    /// The feed cannot be read.
    #[error("the commits of the project could not be read")]
    Feed(#[source] AdapterError),
    /// The store failed.
    #[error("the tiles or the checkpoint could not be read or stored")]
    Store(#[source] AdapterError),
    /// A stored tile is not the one that follows from the commits.
    #[error(
        "{0} is stored with other contents than follow from the commits; find out by `streamio audit verify` which of them were changed"
    )]
    Differs(Tile),
    /// A tile that is needed is damaged.
    #[error(transparent)]
    Tile(TileError),
    /// The stored checkpoint is not one of this log.
    #[error("the stored checkpoint cannot be used; restore it from a backup")]
    Checkpoint(#[from] CheckpointError),
    /// The stored checkpoint is one of another log.
    #[error("the stored checkpoint has the origin {found:?}, but that of this log is {expected:?}")]
    Origin {
        /// The origin of the stored checkpoint.
        found: String,
        /// The origin of this log.
        expected: String,
    },
    /// The last recorded checkpoint is not one of this log.
    #[error("the last checkpoint that the log records, of {size} commits as it states, cannot be used")]
    Recorded {
        /// The number of commits as recorded.
        size: u64,
        /// Why not.
        #[source]
        source: Box<IntegrationError>,
    },
    /// The stored checkpoint is missing or older than one that the log records.
    #[error(
        "the log records a checkpoint of {recorded} commits, but the stored one {}: it was removed or replaced. If `streamio audit verify` \
         finds nothing else, restore the file from a backup, or stop the platform and run `streamio audit recover PROJECT`",
        stored.map_or_else(|| "is missing".to_owned(), |stored| format!("is of {stored}"))
    )]
    Older {
        /// The size of the stored checkpoint; `None` if there is none.
        stored: Option<u64>,
        /// The size of the recorded checkpoint.
        recorded: u64,
    },
    /// The feed has fewer commits than the stored checkpoint states.
    #[error(
        "the checkpoint is of {size} commits, but the last of them are not in the log: they were removed"
    )]
    CutTail {
        /// The size of the checkpoint.
        size: u64,
    },
    /// The feed has another commit than the tree at this place.
    #[error("the commit at place {place} of the project is not the one of the tree: the log was changed")]
    Changed {
        /// The place of the commit.
        place: u64,
    },
    /// The commits of the feed do not have the root of the stored checkpoint.
    #[error(
        "the first {size} commits of the project have the root {found}, but the checkpoint has {expected}: the log was changed"
    )]
    Root {
        /// The size of the checkpoint.
        size: u64,
        /// The root of the commits.
        found: NodeHash,
        /// The root of the checkpoint.
        expected: NodeHash,
    },
    /// Another process has stored a checkpoint meanwhile.
    #[error("another process has stored a checkpoint meanwhile")]
    Superseded,
    /// No checkpoint can be made.
    #[error(transparent)]
    Unsignable(#[from] InvalidCheckpoint),
    /// The checkpoint cannot be signed.
    #[error(transparent)]
    Note(#[from] InvalidNote),
}

impl From<CreateTileError> for IntegrationError {
    fn from(error: CreateTileError) -> Self {
        match error {
            CreateTileError::Differs(tile) => Self::Differs(tile),
            CreateTileError::Store(source) => Self::Store(source),
        }
    }
}

impl From<TileError> for IntegrationError {
    fn from(error: TileError) -> Self {
        match error {
            TileError::Read { source, .. } => Self::Store(source),
            TileError::Missing { .. } | TileError::Malformed { .. } => Self::Tile(error),
        }
    }
}
