//! Compares the tiles and the checkpoint of a log with its commits, and names the first differences.
//!
//! The tiles are computed again from the commits. Their root decides what was changed: if it is the checkpoint's, the commits are those
//! that were signed, and each tile that differs is damaged. Otherwise the commits were changed, and the first tile that differs tells where.
//! A leaf is in two tiles, as the hash of its commit and as that of the tree. If only one of them differs, the tile is damaged, and the commit
//! was not changed.

mod finding;
mod known_roots;
mod later_tiles;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use streamio_events::commit::CommitHash;

use super::checkpoint::Checkpoint;
use super::node_hash::NodeHash;
use super::stored::TileError;
use super::tiles::{FULL_WIDTH, Tile, TileKind};
use super::tree::{RightEdge, TileFile};
use crate::ports::tile_reader::TileReader;

pub use self::finding::{Fault, Finding};
pub use self::known_roots::{Known, KnownRoots, RootFinding};
pub use self::later_tiles::LaterTiles;

/// The most damaged tiles that are named.
const MAX_DAMAGED: usize = 100;

/// A tile that differs.
#[derive(Debug, Clone, Copy)]
struct Difference {
    tile: Tile,
    fault: Fault,
}

impl Difference {
    /// The first leaf below what differs, and the first leaf after it.
    fn leaves(&self) -> (u64, u64) {
        match self.fault {
            Fault::Item(position) => self.tile.leaves(position),
            Fault::Missing | Fault::Length(_) => {
                (self.tile.leaves(0).0, self.tile.leaves(self.tile.width() - 1).1)
            }
        }
    }
}

/// A stored tile, and the positions of its items that are not those that follow from the commits; or why it cannot be compared.
struct ComparedTile {
    tile: Tile,
    items: Result<Vec<u16>, Fault>,
}

impl ComparedTile {
    fn difference(&self, fault: Fault) -> Difference {
        Difference { tile: self.tile, fault }
    }

    /// The first difference.
    fn first(&self) -> Option<Difference> {
        match &self.items {
            Ok(items) => items.first().map(|position| self.difference(Fault::Item(*position))),
            Err(fault) => Some(self.difference(*fault)),
        }
    }

    /// The first item that differs and whose leaf does not differ in `other`, which has the same leaves.
    fn first_alone(&self, other: &[u16]) -> Option<Difference> {
        let alone = self.items.iter().flatten().find(|position| !other.contains(position));
        alone.map(|position| self.difference(Fault::Item(*position)))
    }
}

/// What follows from the two tiles with the same leaves: the first difference of a commit, and the first damage.
fn judge_leaves(entries: &ComparedTile, hashes: &ComparedTile) -> (Option<Difference>, Option<Difference>) {
    match (&entries.items, &hashes.items) {
        (Ok(of_entries), Ok(of_hashes)) => {
            let both = of_entries.iter().find(|position| of_hashes.contains(position));
            let damage = entries.first_alone(of_hashes).or_else(|| hashes.first_alone(of_entries));
            (both.map(|position| entries.difference(Fault::Item(*position))), damage)
        }
        (Ok(_), Err(_)) => (entries.first(), hashes.first()),
        (Err(_), Ok(_)) => (hashes.first(), entries.first()),
        (Err(_), Err(_)) => (entries.first(), None),
    }
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// What was found.
    pub findings: Vec<Finding>,
    /// Whether the first commits have the root of the checkpoint: they are those that were signed.
    pub is_signed: bool,
    /// Whether a tile of the tree is stored, or it has none. Without any, only the roots were compared.
    pub has_tiles: bool,
}

/// A comparison to which the commits are passed one by one.
pub struct Comparison<'a> {
    reader: &'a dyn TileReader,
    size: u64,
    root: NodeHash,
    edge: RightEdge,
    batch: Vec<CommitHash>,
    /// The first difference that changed commits explain.
    first: Option<Difference>,
    /// The first damage, which changed commits do not explain.
    damage: Option<Difference>,
    /// All differences, one more than `MAX_DAMAGED` at most: damage if the commits are those of the checkpoint.
    all: Vec<Difference>,
    /// Whether a tile was found, whatever it contains.
    has_tiles: bool,
}

impl<'a> Comparison<'a> {
    /// Starts a comparison with a checkpoint, which should be verified, and with the tiles of its tree.
    pub fn new(reader: &'a dyn TileReader, checkpoint: &Checkpoint) -> Self {
        Self {
            reader,
            size: checkpoint.size(),
            root: checkpoint.root(),
            edge: RightEdge::empty(),
            batch: Vec::new(),
            first: None,
            damage: None,
            all: Vec::new(),
            has_tiles: false,
        }
    }

    /// Compares the next commit of the feed. Commits beyond the checkpoint's size are ignored: the feed may have grown. An error is one of
    /// the store; a tile that is missing or malformed is a finding.
    pub async fn follow(&mut self, commit: CommitHash) -> Result<(), TileError> {
        if self.edge.size() + self.batch.len() as u64 == self.size {
            return Ok(());
        }
        self.batch.push(commit);
        if self.batch.len() == usize::from(FULL_WIDTH) {
            let written = self.edge.append(self.batch.drain(..));
            // The partial tiles of the levels above have grown too: they are compared when they are full, or at the end.
            self.compare(written.into_iter().filter(|file| !file.tile.is_partial())).await?;
        }
        Ok(())
    }

    /// Ends the comparison, and returns what was found: if the commits are those of the checkpoint, the damaged tiles, `MAX_DAMAGED` at most;
    /// otherwise at most one damaged tile that changed commits do not explain, and one other finding.
    pub async fn finish(mut self) -> Result<Compared, TileError> {
        self.edge.append(self.batch.drain(..));
        let partial: Vec<TileFile> = self.edge.partial().collect();
        self.compare(partial).await?;
        let (size, found, expected) = (self.size, self.edge.root(), self.root);
        let is_signed = self.edge.size() == size && found == expected;
        let has_tiles = self.has_tiles || size == 0;
        let damaged = |Difference { tile, fault }: Difference| Finding::Tile { tile, fault };
        let findings = if is_signed {
            // Without any tile nothing is damaged: they are computed again from the commits.
            let named = self.all.iter().copied().filter(|_| has_tiles).take(MAX_DAMAGED).map(damaged);
            let more = (has_tiles && self.all.len() > MAX_DAMAGED)
                .then_some(Finding::MoreTiles { named: MAX_DAMAGED });
            named.chain(more).collect()
        } else {
            let of_commits = match self.first {
                _ if self.edge.size() < size && !has_tiles => {
                    Finding::CutTail { size, found: self.edge.size() }
                }
                _ if !has_tiles => Finding::Root { size, found, expected },
                Some(difference) => changed_commit(difference),
                None if self.edge.size() < size => Finding::CutTail { size, found: self.edge.size() },
                None => Finding::Checkpoint { size, found, expected },
            };
            let damage = self.damage.filter(|_| has_tiles).map(damaged);
            damage.into_iter().chain([of_commits]).collect()
        };
        Ok(Compared { findings, is_signed, has_tiles })
    }

    /// Compares tiles that were computed from the commits with those that are stored.
    async fn compare(&mut self, files: impl IntoIterator<Item = TileFile>) -> Result<(), TileError> {
        // Neither a further damaged tile nor an earlier changed commit can be found.
        if self.first.is_some() && self.all.len() > MAX_DAMAGED && self.has_tiles {
            return Ok(());
        }
        let (mut entries, mut hashes) = (BTreeMap::new(), BTreeMap::new());
        let mut differences = Vec::new();
        for file in files {
            let compared = self.compared(&file).await?;
            self.has_tiles |= compared.items != Err(Fault::Missing);
            self.all.extend(compared.first().filter(|_| self.all.len() <= MAX_DAMAGED));
            match file.tile.kind() {
                TileKind::Entries => drop(entries.insert(file.tile.index(), compared)),
                TileKind::Hashes(0) => drop(hashes.insert(file.tile.index(), compared)),
                TileKind::Hashes(_) => differences.extend(compared.first()),
            }
        }
        // What comes after the first difference is compared only for the case that the commits are those of the checkpoint.
        if self.first.is_some() {
            return Ok(());
        }
        for (index, entries) in entries {
            let Some(hashes) = hashes.get(&index) else { continue };
            let (difference, damage) = judge_leaves(&entries, hashes);
            differences.extend(difference);
            self.damage = self.damage.or(damage);
        }
        // The one that ends first and, of two that end together, the one that is known more precisely.
        self.first = differences.into_iter().min_by_key(|difference| {
            let (first, end) = difference.leaves();
            (end, Reverse(first))
        });
        Ok(())
    }

    async fn compared(&self, computed: &TileFile) -> Result<ComparedTile, TileError> {
        let (kind, index) = (computed.tile.kind(), computed.tile.index());
        // Wider than the computed one if there are too few commits.
        let tile = Tile::in_tree(kind, index, self.size).unwrap_or(computed.tile);
        let mut expected_bytes = tile.bytes();
        let mut stored = self.read(tile).await?;
        if stored.is_none() && tile.is_partial() {
            // The partial tile may have been removed when the tile became full.
            stored = self.read(tile.full()).await?;
            expected_bytes = tile.full().bytes();
        }
        let items = match stored {
            None => Err(Fault::Missing),
            Some(stored) if stored.len() != expected_bytes => Err(Fault::Length(stored.len())),
            Some(stored) => {
                let items = |bytes| <[u8]>::chunks(bytes, kind.item_bytes());
                let pairs = (0..).zip(items(&stored).zip(items(&computed.bytes)));
                Ok(pairs.filter(|(_, (stored, computed))| stored != computed).map(|(at, _)| at).collect())
            }
        };
        Ok(ComparedTile { tile, items })
    }

    async fn read(&self, tile: Tile) -> Result<Option<Vec<u8>>, TileError> {
        self.reader.read(&tile).await.map_err(|source| TileError::Read { tile, source })
    }
}

fn changed_commit(difference: Difference) -> Finding {
    let Difference { tile, fault } = difference;
    let (first, end) = difference.leaves();
    match (tile.kind(), fault) {
        (TileKind::Entries | TileKind::Hashes(0), Fault::Item(_)) => Finding::Commit { leaf: first, tile },
        _ => Finding::CommitAmong { first, last: end - 1, tile, fault },
    }
}

/// Compares all commits of a feed with a checkpoint, which should be verified, and with the tiles of its tree.
pub async fn compare(
    reader: &dyn TileReader,
    checkpoint: &Checkpoint,
    commits: impl IntoIterator<Item = CommitHash>,
) -> Result<Vec<Finding>, TileError> {
    let mut comparison = Comparison::new(reader, checkpoint);
    for commit in commits {
        comparison.follow(commit).await?;
    }
    Ok(comparison.finish().await?.findings)
}

#[cfg(test)]
mod tests;
