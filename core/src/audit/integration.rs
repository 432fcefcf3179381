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
//!
//! A stored checkpoint can be an older one that somebody with write access to the files has restored. So it must be at least as large as the
//! last checkpoint that the log records.

mod error;

use streamio_events::commit::CommitHash;
use streamio_events::event::AuditCheckpointed;

pub use self::error::IntegrationError;
use super::checkpoint::{Checkpoint, CheckpointError};
use super::node_hash::NodeHash;
use super::note::{NoteSigner, SignedNote};
use super::stored::{self, TileError};
use super::tiles::{FULL_WIDTH, Tile, TileKind};
use super::tree::{EdgeError, RightEdge, TileFile};
use crate::ports::feed_hashes::FeedHashes;
use crate::ports::tile_store::TileStore;

/// The most commits that one checkpoint adds, and that are read at a time. Their tiles take some 4 MB of memory.
pub const BATCH: usize = 64 * 1024;

/// A checkpoint with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// The signed note.
    pub note: SignedNote,
}

/// A tree that has grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integrated {
    /// The new checkpoint.
    pub signed: SignedCheckpoint,
    /// Whether more commits may follow: [`BATCH`] were added.
    pub more: bool,
}

/// The integration of one project's commits into its tree.
pub struct Integration<'a> {
    /// The commits.
    pub feed: &'a dyn FeedHashes,
    /// The tiles and the checkpoint.
    pub store: &'a dyn TileStore,
    /// The key of the log.
    pub signer: &'a NoteSigner,
    /// The last checkpoint that the log records.
    pub recorded: Option<&'a AuditCheckpointed>,
}

impl Integration<'_> {
    /// Integrates the next commits of the feed, [`BATCH`] at most, and signs and stores a checkpoint of them. Returns it; `None` if the stored
    /// checkpoint is of all commits already.
    pub async fn run(&self) -> Result<Option<Integrated>, IntegrationError> {
        let before = self.stored_note().await?;
        let (size, root) = match &before {
            Some(note) => {
                let SignedCheckpoint { checkpoint, .. } = self.verified(note)?;
                (checkpoint.size(), checkpoint.root())
            }
            None => (0, NodeHash::EMPTY_TREE),
        };
        self.check_recorded(before.is_some().then_some(size))?;
        let mut edge = self.edge(size, root).await?;
        self.check_last(size).await?;
        let hashes = self.hashes(size, BATCH).await?;
        if hashes.is_empty() {
            return Ok(None);
        }
        let more = hashes.len() == BATCH;
        let full = self.write_full(&mut edge, hashes).await?;
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
        Ok(Some(Integrated { signed: SignedCheckpoint { checkpoint, note }, more }))
    }

    /// The stored checkpoint, verified; `None` if there is none.
    pub async fn stored(&self) -> Result<Option<SignedCheckpoint>, IntegrationError> {
        self.stored_note().await?.map(|note| self.verified(&note)).transpose()
    }

    /// Stores the last recorded checkpoint in the place of one that is missing or older, if the first commits of the feed have its root.
    /// Returns its size; `None` if the stored checkpoint is as new already. Nothing shows whether commits after the recorded checkpoint, and before
    /// one that was lost, are those that it was of.
    pub async fn recover(&self) -> Result<Option<u64>, IntegrationError> {
        let before = self.stored_note().await?;
        let stored = before.as_ref().map(|note| self.verified(note)).transpose()?;
        let Some(recorded) = self.recorded_checkpoint()? else { return Ok(None) };
        let SignedCheckpoint { checkpoint, note } = recorded;
        if stored.is_some_and(|stored| stored.checkpoint.size() >= checkpoint.size()) {
            return Ok(None);
        }
        self.check_root(checkpoint.size(), checkpoint.root()).await?;
        let replaced = self.store.replace_checkpoint(before.as_deref(), &note.to_string()).await;
        if !replaced.map_err(IntegrationError::Store)? {
            return Err(IntegrationError::Superseded);
        }
        Ok(Some(checkpoint.size()))
    }

    async fn stored_note(&self) -> Result<Option<String>, IntegrationError> {
        self.store.checkpoint().await.map_err(IntegrationError::Store)
    }

    /// Checks that the stored checkpoint, of this size, is not older than the last recorded one.
    fn check_recorded(&self, stored: Option<u64>) -> Result<(), IntegrationError> {
        match self.recorded_checkpoint()?.map(|recorded| recorded.checkpoint.size()) {
            Some(recorded) if stored.is_none_or(|stored| stored < recorded) => {
                Err(IntegrationError::Older { stored, recorded })
            }
            _ => Ok(()),
        }
    }

    /// The last recorded checkpoint, verified.
    fn recorded_checkpoint(&self) -> Result<Option<SignedCheckpoint>, IntegrationError> {
        let of = |recorded: &AuditCheckpointed| {
            self.verified(&recorded.checkpoint)
                .map_err(|error| IntegrationError::Recorded { size: recorded.size, source: Box::new(error) })
        };
        self.recorded.map(of).transpose()
    }

    /// A checkpoint of this log, verified with its key.
    fn verified(&self, note: &str) -> Result<SignedCheckpoint, IntegrationError> {
        let note: SignedNote = note.parse().map_err(CheckpointError::from)?;
        let key = self.signer.verifier_key();
        // Before the signature, whose error would not say that the host was changed.
        let stated = Checkpoint::of_unverified(&note)?;
        if stated.origin() != key.name() {
            let (found, expected) = (stated.origin().to_owned(), key.name().to_owned());
            return Err(IntegrationError::Origin { found, expected });
        }
        let checkpoint = Checkpoint::verify(&note, std::slice::from_ref(key))?;
        Ok(SignedCheckpoint { checkpoint, note })
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
        self.check_root(size, root).await?;
        let mut edge = RightEdge::empty();
        while edge.size() < size {
            let hashes = self.first_of(size, edge.size()).await?;
            self.write_full(&mut edge, hashes).await?;
        }
        self.store.create(&edge.partial().collect::<Vec<_>>()).await?;
        Ok(edge)
    }

    /// Checks that the first `size` commits of the feed have this root.
    async fn check_root(&self, size: u64, root: NodeHash) -> Result<(), IntegrationError> {
        let mut edge = RightEdge::empty();
        while edge.size() < size {
            edge.append(self.first_of(size, edge.size()).await?);
        }
        let found = edge.root();
        if found == root { Ok(()) } else { Err(IntegrationError::Root { size, found, expected: root }) }
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
