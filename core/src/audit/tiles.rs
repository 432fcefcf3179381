//! The names and contents of the files that store a tree (C2SP `tlog-tiles`).
//!
//! A tile has up to 256 adjacent hashes of one level: on level 0 the hashes of leaves, on each level above the roots of full tiles of the
//! level below. An entry bundle has the entries of the leaves of a tile of level 0. The last tile of a level may be partial; its name
//! contains its width, so the contents of a name never change.

use std::fmt;
use std::str::FromStr;

use streamio_events::commit::CommitHash;

use super::decimal;
use super::node_hash::NodeHash;

/// The number of hashes of a full tile, and of entries of a full bundle.
pub const FULL_WIDTH: u16 = 256;

/// The highest level that a path may name. Trees of up to 2^64 leaves have the levels 0 to 7.
const MAX_LEVEL: u8 = 63;

/// The bytes of an entry in a bundle: its length as a big-endian 16-bit number, and itself.
const ENTRY_BYTES: usize = 2 + NodeHash::BYTES;

/// What a tile contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Entries: the tile is an entry bundle.
    Entries,
    /// Hashes of this level, 0 to 63.
    Hashes(u8),
}

impl TileKind {
    /// The number of items of this kind in a tree of `size` leaves.
    pub fn count(self, size: u64) -> u64 {
        match self {
            Self::Entries => size,
            Self::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
        }
    }

    /// The bytes of one item.
    pub fn item_bytes(self) -> usize {
        match self {
            Self::Entries => ENTRY_BYTES,
            Self::Hashes(_) => NodeHash::BYTES,
        }
    }
}

/// The identity of a tile. Its text form is its path, such as `tile/0/x001/x234/067.p/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl Tile {
    /// The tile with this index as a tree of `size` leaves has it: full or partial; `None` if the tree has no item in it.
    pub fn in_tree(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let before = index.checked_mul(FULL_WIDTH.into())?;
        let rest = kind.count(size).checked_sub(before)?;
        let width = u16::try_from(rest).unwrap_or(FULL_WIDTH).min(FULL_WIDTH);
        (width > 0).then_some(Self { kind, index, width })
    }

    /// The partial tiles of a tree of `size` leaves: those that grow with the next leaves. The entry bundle is first, then come the
    /// levels from 0 on.
    pub fn partial(size: u64) -> impl Iterator<Item = Self> {
        let kinds = [TileKind::Entries].into_iter().chain((0..8).map(TileKind::Hashes));
        kinds.filter_map(move |kind| {
            let index = kind.count(size) / u64::from(FULL_WIDTH);
            Self::in_tree(kind, index, size)
        })
    }

    /// What it contains.
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Its place among the tiles of its kind, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The number of its items, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether it is partial.
    pub fn is_partial(&self) -> bool {
        self.width < FULL_WIDTH
    }

    /// The full tile with the same kind and index.
    #[must_use]
    pub fn full(&self) -> Self {
        Self { width: FULL_WIDTH, ..*self }
    }

    /// The number of its bytes.
    pub fn bytes(&self) -> usize {
        usize::from(self.width) * self.kind.item_bytes()
    }

    /// The first leaf below the item at this position, and the first leaf after those below it.
    pub fn leaves(&self, position: u16) -> (u64, u64) {
        let item = self.index.saturating_mul(FULL_WIDTH.into()).saturating_add(position.into());
        let leaves = match self.kind {
            TileKind::Entries => 1,
            TileKind::Hashes(level) => 1_u64.checked_shl(8 * u32::from(level)).unwrap_or(u64::MAX),
        };
        (item.saturating_mul(leaves), item.saturating_add(1).saturating_mul(leaves))
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => formatter.write_str("tile/entries")?,
            TileKind::Hashes(level) => write!(formatter, "tile/{level}")?,
        }
        // The largest index has seven groups of three digits.
        for exponent in (1..7).rev() {
            let rest = self.index / 1000_u64.pow(exponent);
            if rest > 0 {
                write!(formatter, "/x{:03}", rest % 1000)?;
            }
        }
        write!(formatter, "/{:03}", self.index % 1000)?;
        if self.is_partial() { write!(formatter, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// A text that is not the path of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tile's path is `tile/<level>/<index>` or `tile/entries/<index>`, with `.p/<width>` if it is partial"
)]
pub struct InvalidTilePath;

impl FromStr for Tile {
    type Err = InvalidTilePath;

    fn from_str(path: &str) -> Result<Self, InvalidTilePath> {
        read_path(path).ok_or(InvalidTilePath)
    }
}

fn read_path(path: &str) -> Option<Tile> {
    let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let kind = if kind == "entries" {
        TileKind::Entries
    } else {
        let level = decimal::parse(kind).filter(|level| *level <= MAX_LEVEL.into())?;
        TileKind::Hashes(u8::try_from(level).ok()?)
    };
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => {
            let width = decimal::parse(width).and_then(|width| u16::try_from(width).ok())?;
            (index, Some(width).filter(|width| (1..FULL_WIDTH).contains(width))?)
        }
        None => (rest, FULL_WIDTH),
    };
    let mut groups = index.split('/').rev();
    let last = groups.next()?;
    // An index has no more than seven groups.
    let groups: Vec<&str> = groups.take(7).collect();
    let mut value = 0_u64;
    for group in groups.iter().rev().map(|group| group.strip_prefix('x')).chain([Some(last)]) {
        let digits =
            group.filter(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()))?;
        value = value.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    // Compared as a whole, because an index could also begin with a group of zeros.
    let tile = Tile { kind, index: value, width };
    (tile.to_string() == path).then_some(tile)
}

/// Returns the bytes of a tile of hashes.
pub fn write_hashes(hashes: &[NodeHash]) -> Vec<u8> {
    hashes.iter().flat_map(NodeHash::as_bytes).copied().collect()
}

/// Returns the hashes of a tile; `None` if the bytes are not whole hashes.
pub fn read_hashes(bytes: &[u8]) -> Option<Vec<NodeHash>> {
    let (hashes, rest) = bytes.as_chunks();
    rest.is_empty().then(|| hashes.iter().copied().map(NodeHash::from_bytes).collect())
}

/// Returns the bytes of an entry bundle.
pub fn write_entries(entries: &[CommitHash]) -> Vec<u8> {
    let length = u16::try_from(NodeHash::BYTES).expect("32 fits").to_be_bytes();
    entries.iter().flat_map(|entry| length.into_iter().chain(*entry.as_bytes())).collect()
}

/// Returns the entries of a bundle; `None` unless the bytes are whole entries of 32 bytes each.
pub fn read_entries(bytes: &[u8]) -> Option<Vec<CommitHash>> {
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    let entries = entries.iter().map(|entry| {
        let (length, hash) = entry.split_at(2);
        let is_whole = usize::from(u16::from_be_bytes([length[0], length[1]])) == hash.len();
        is_whole.then(|| CommitHash::from_bytes(hash.try_into().expect("an entry has 32 bytes")))
    });
    if rest.is_empty() { entries.collect() } else { None }
}

#[cfg(test)]
mod tests;
