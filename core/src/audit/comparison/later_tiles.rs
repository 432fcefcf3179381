//! Compares stored tiles of a larger tree than the checkpoint's with the commits.
//!
//! Tiles are stored before the checkpoint that they belong to, so there may be some that the last checkpoint does not know. Their commits are
//! durable before they are stored. So they match the commits, unless these were changed and an older checkpoint was put in the place
//! of theirs.

use std::collections::BTreeMap;

use streamio_events::commit::CommitHash;

use super::super::stored::TileError;
use super::super::tiles::{FULL_WIDTH, Tile, TileKind};
use super::super::tree::{RightEdge, TileFile};
use super::{Fault, Finding, MAX_DAMAGED};
use crate::ports::tile_reader::TileReader;

/// A comparison to which the commits are passed one by one, from the first of the feed on.
pub struct LaterTiles<'a> {
    reader: &'a dyn TileReader,
    edge: RightEdge,
    batch: Vec<CommitHash>,
    /// The tiles that were not compared yet.
    left: BTreeMap<(TileKind, u64), Vec<Tile>>,
    findings: Vec<Finding>,
}

impl<'a> LaterTiles<'a> {
    /// Starts a comparison of those of the `stored` tiles that a tree of `size` leaves does not have. They must have been listed before the commits
    /// are read.
    pub fn new(reader: &'a dyn TileReader, size: u64, stored: impl IntoIterator<Item = Tile>) -> Self {
        let mut left: BTreeMap<_, Vec<Tile>> = BTreeMap::new();
        for tile in stored {
            let width = Tile::in_tree(tile.kind(), tile.index(), size).map_or(0, |present| present.width());
            if tile.width() > width {
                left.entry((tile.kind(), tile.index())).or_default().push(tile);
            }
        }
        Self { reader, edge: RightEdge::empty(), batch: Vec::new(), left, findings: Vec::new() }
    }

    /// Compares the next commit of the feed.
    pub async fn follow(&mut self, commit: CommitHash) -> Result<(), TileError> {
        if self.left.is_empty() {
            return Ok(());
        }
        self.batch.push(commit);
        if self.batch.len() == usize::from(FULL_WIDTH) {
            let written = self.edge.append(self.batch.drain(..));
            self.compare(written.into_iter().filter(|file| !file.tile.is_partial())).await?;
        }
        Ok(())
    }

    /// Ends the comparison, and returns what was found, with `MAX_DAMAGED` tiles at most.
    pub async fn finish(mut self) -> Result<Vec<Finding>, TileError> {
        self.edge.append(self.batch.drain(..));
        let partial: Vec<TileFile> = self.edge.partial().collect();
        self.compare(partial).await?;
        let left = self.left.into_values().flatten().map(|tile| Finding::LaterCommits { tile });
        Ok(self.findings.into_iter().chain(left).take(MAX_DAMAGED).collect())
    }

    async fn compare(&mut self, files: impl IntoIterator<Item = TileFile>) -> Result<(), TileError> {
        for TileFile { tile: computed, bytes } in files {
            let key = (computed.kind(), computed.index());
            let Some(tiles) = self.left.remove(&key) else { continue };
            let (tiles, wider): (Vec<_>, Vec<_>) =
                tiles.into_iter().partition(|tile| tile.width() <= computed.width());
            if !wider.is_empty() {
                self.left.insert(key, wider);
            }
            for tile in tiles {
                let read = self.reader.read(&tile).await;
                // A partial tile may have been removed since it was listed, because it became full.
                let Some(stored) = read.map_err(|source| TileError::Read { tile, source })? else { continue };
                let item_bytes = tile.kind().item_bytes();
                let fault = if stored.len() == tile.bytes() {
                    let mut items = stored.chunks(item_bytes).zip(bytes.chunks(item_bytes));
                    let differs = items.position(|(stored, computed)| stored != computed);
                    differs.and_then(|position| u16::try_from(position).ok()).map(Fault::Item)
                } else {
                    Some(Fault::Length(stored.len()))
                };
                self.findings.extend(fault.map(|fault| Finding::LaterTile { tile, fault }));
            }
        }
        Ok(())
    }
}
