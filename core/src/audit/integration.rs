//! Brings the tree of a project up to date with its feed.
//!
//! What is stored decides from where the tree grows, and nothing is kept in memory between two calls: the checkpoint states the size and
//! the root, and the partial tiles must lead to that root. The order of the writes makes a crash at any point harmless:
//!
//! 1. The tiles are written. Their contents depend on the commits only, and the commits are durable before they are read, so a repetition
//!    writes the same bytes. No tile is ever replaced.
//! 2. The checkpoint is signed and stored, if the stored one is still that from which the tree grew.
//! 3. Partial tiles that became full are removed.
//!
//! So every root that is signed is that of the first commits of the feed, and a stored checkpoint has all of its tiles.

use streamio_events::commit::CommitHash;

use super::checkpoint::{Checkpoint, CheckpointError, InvalidCheckpoint};
use super::node_hash::NodeHash;
use super::note::{InvalidNote, NoteSigner, SignedNote};
use super::stored::{self, TileError};
use super::tiles::{FULL_WIDTH, Tile, TileKind};
use super::tree::{EdgeError, RightEdge, TileFile};
use crate::ports::AdapterError;
use crate::ports::feed_hashes::FeedHashes;
use crate::ports::tile_store::{CreateTileError, TileStore};

/// How many commits are read at a time. Their tiles take some 4 MB of memory.
const BATCH: usize = 64 * 1024;

/// A checkpoint with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// The signed note.
    pub note: SignedNote,
}

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

/// The integration of one project's commits into its tree.
pub struct Integration<'a> {
    /// The commits.
    pub feed: &'a dyn FeedHashes,
    /// The tiles and the checkpoint.
    pub store: &'a dyn TileStore,
    /// The key of the log.
    pub signer: &'a NoteSigner,
}

impl Integration<'_> {
    /// Integrates all commits that are in the feed, and signs and stores a checkpoint of them. Returns it; `None` if the stored checkpoint
    /// is of all commits already.
    pub async fn run(&self) -> Result<Option<SignedCheckpoint>, IntegrationError> {
        let before = self.store.checkpoint().await.map_err(IntegrationError::Store)?;
        let (size, root) = match &before {
            Some(note) => self.verified(note)?,
            None => (0, NodeHash::EMPTY_TREE),
        };
        let mut edge = self.edge(size, root).await?;
        self.check_last(size).await?;
        let mut full = Vec::new();
        loop {
            let hashes = self.hashes(edge.size(), BATCH).await?;
            let is_last = hashes.len() < BATCH;
            full.extend(self.write_full(&mut edge, hashes).await?);
            if is_last {
                break;
            }
        }
        if edge.size() == size {
            return Ok(None);
        }
        self.store.create(&edge.partial().collect::<Vec<_>>()).await?;
        let checkpoint = Checkpoint::new(self.signer.verifier_key().name(), edge.size(), edge.root())?;
        let note = checkpoint.sign(&[self.signer])?;
        let stored = self.store.replace_checkpoint(before.as_deref(), &note.to_string()).await;
        if !stored.map_err(IntegrationError::Store)? {
            return Err(IntegrationError::Superseded);
        }
        // If it fails or a crash comes first, files remain that nobody needs.
        if let Err(error) = self.store.remove_partial(&full).await {
            tracing::warn!(error, "partial tiles that became full could not be removed");
        }
        Ok(Some(SignedCheckpoint { checkpoint, note }))
    }

    /// The size and root of a stored checkpoint.
    fn verified(&self, note: &str) -> Result<(u64, NodeHash), IntegrationError> {
        let note: SignedNote = note.parse().map_err(CheckpointError::from)?;
        let key = self.signer.verifier_key();
        // Before the signature, whose error would not say that the host was changed.
        let stated = Checkpoint::of_unverified(&note)?;
        if stated.origin() != key.name() {
            let (found, expected) = (stated.origin().to_owned(), key.name().to_owned());
            return Err(IntegrationError::Origin { found, expected });
        }
        let checkpoint = Checkpoint::verify(&note, std::slice::from_ref(key))?;
        Ok((checkpoint.size(), checkpoint.root()))
    }

    /// The right edge of the tree of the stored checkpoint: from the partial tiles or, if these are missing, from the commits.
    async fn edge(&self, size: u64, root: NodeHash) -> Result<RightEdge, IntegrationError> {
        match RightEdge::read(self.store, size, root).await {
            Ok(edge) => Ok(edge),
            Err(EdgeError::Tile(TileError::Read { source, .. })) => Err(IntegrationError::Store(source)),
            Err(error) => {
                tracing::warn!(error = %error, size, "the partial tiles cannot be used; the tiles are computed again from the commits");
                self.rebuild(size, root).await
            }
        }
    }

    /// Computes the tree of the stored checkpoint again from the commits, and stores the tiles that are missing. Nothing is stored
    /// unless the commits have the root of the checkpoint.
    async fn rebuild(&self, size: u64, root: NodeHash) -> Result<RightEdge, IntegrationError> {
        let mut edge = RightEdge::empty();
        while edge.size() < size {
            edge.append(self.first_of(size, edge.size()).await?);
        }
        if edge.root() != root {
            return Err(IntegrationError::Root { size, found: edge.root(), expected: root });
        }
        let mut edge = RightEdge::empty();
        while edge.size() < size {
            let hashes = self.first_of(size, edge.size()).await?;
            self.write_full(&mut edge, hashes).await?;
        }
        self.store.create(&edge.partial().collect::<Vec<_>>()).await?;
        Ok(edge)
    }

    /// The next commits from the place `from` on, of the first `size` commits.
    async fn first_of(&self, size: u64, from: u64) -> Result<Vec<CommitHash>, IntegrationError> {
        let limit = usize::try_from(size - from).unwrap_or(BATCH).min(BATCH);
        let hashes = self.hashes(from, limit).await?;
        if hashes.is_empty() { Err(IntegrationError::CutTail { size }) } else { Ok(hashes) }
    }

    /// Appends commits and stores the tiles that became full. Returns these.
    async fn write_full(
        &self,
        edge: &mut RightEdge,
        hashes: Vec<CommitHash>,
    ) -> Result<Vec<Tile>, IntegrationError> {
        let mut written: Vec<TileFile> = edge.append(hashes);
        written.retain(|file| !file.tile.is_partial());
        self.store.create(&written).await?;
        Ok(written.into_iter().map(|file| file.tile).collect())
    }

    /// Checks that the feed still has the last commit of the stored checkpoint. All others are checked by `streamio audit verify`.
    async fn check_last(&self, size: u64) -> Result<(), IntegrationError> {
        let Some(place) = size.checked_sub(1) else { return Ok(()) };
        let index = place / u64::from(FULL_WIDTH);
        let bundle = Tile::in_tree(TileKind::Entries, index, size).expect("the tree has its last bundle");
        let entries = stored::entries(self.store, bundle).await?;
        let found = self.hashes(place, 1).await?;
        match found.first() {
            None => Err(IntegrationError::CutTail { size }),
            Some(found) if entries.last() != Some(found) => Err(IntegrationError::Changed { place }),
            Some(_) => Ok(()),
        }
    }

    async fn hashes(&self, from: u64, limit: usize) -> Result<Vec<CommitHash>, IntegrationError> {
        self.feed.hashes(from, limit).await.map_err(IntegrationError::Feed)
    }
}
