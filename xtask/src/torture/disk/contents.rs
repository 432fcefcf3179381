//! The bytes of a file: those on the medium, and the changes since they were last synced.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::loss::Loss;

/// The number of bytes that a medium writes completely or not at all, at multiples of this number.
pub(super) const SECTOR: usize = 512;

/// A change that was not synced.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

/// The bytes of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// The length with all changes, in bytes.
    length: usize,
}

impl Contents {
    /// The length in bytes.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Up to `size` bytes from `offset`, with all changes. Shorter at the end of the file.
    pub(super) fn read(&self, offset: usize, size: usize) -> Vec<u8> {
        let end = offset.saturating_add(size).min(self.length);
        if offset >= end {
            return Vec::new();
        }
        let mut window = vec![0; end - offset];
        overlay(&mut window, offset, 0, &self.durable);
        for change in &self.unsynced {
            match change {
                Change::Write { offset: at, bytes } => overlay(&mut window, offset, *at, bytes),
                Change::Resize(length) => {
                    let kept = length.saturating_sub(offset).min(window.len());
                    window[kept..].fill(0);
                }
            }
        }
        window
    }

    /// Writes `bytes` at `offset`. A gap before it reads as zeros.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.length = self.length.max(offset + bytes.len());
        self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    /// Cuts the file, or extends it with zeros.
    pub(super) fn resize(&mut self, length: usize) {
        self.length = length;
        self.unsynced.push(Change::Resize(length));
    }

    /// Makes all changes durable.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            apply(&mut self.durable, &change);
        }
    }

    /// Keeps what a power loss leaves: the synced bytes, and of the later changes those that `loss` keeps. Returns the number of sectors
    /// that are not as they were.
    pub(super) fn lose_power(&mut self, loss: Loss, rng: &mut Rng) -> u64 {
        let changes = std::mem::take(&mut self.unsynced);
        if changes.is_empty() {
            return 0;
        }
        let mut former = self.durable.clone();
        for change in &changes {
            apply(&mut former, change);
        }
        match loss {
            Loss::All => {}
            Loss::Latest => keep_first(&mut self.durable, &changes, rng),
            Loss::Any => self.durable = mixed(&self.durable, &changes, rng),
        }
        self.length = self.durable.len();
        let sectors = 0..former.len().max(self.length).div_ceil(SECTOR);
        sectors.filter(|sector| part(&former, *sector) != part(&self.durable, *sector)).count() as u64
    }
}

/// Applies the changes up to a random one, and of the next one, if it is a write, the first sectors.
fn keep_first(bytes: &mut Vec<u8>, changes: &[Change], rng: &mut Rng) {
    let (kept, lost) = changes.split_at(rng.usize(0..=changes.len()));
    for change in kept {
        apply(bytes, change);
    }
    if let Some(Change::Write { offset, bytes: written }) = lost.first() {
        let first = (offset / SECTOR + 1) * SECTOR;
        let boundaries: Vec<usize> = (first..offset + written.len()).step_by(SECTOR).collect();
        if let Some(boundary) = rng.choice(&boundaries) {
            apply(bytes, &Change::Write { offset: *offset, bytes: written[..boundary - offset].to_vec() });
        }
    }
}

/// Returns bytes of which each sector is as it was after a random one of the changes, and the length, too: the system writes sectors and
/// lengths in any order, and each as it is then.
fn mixed(durable: &[u8], changes: &[Change], rng: &mut Rng) -> Vec<u8> {
    let (mut current, mut result) = (durable.to_vec(), durable.to_vec());
    let mut lengths = vec![durable.len()];
    let mut versions: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for change in changes {
        let touched = match change {
            Change::Write { offset, bytes } => *offset..offset + bytes.len(),
            Change::Resize(length) => (*length).min(current.len())..current.len(),
        };
        apply(&mut current, change);
        lengths.push(current.len());
        if !touched.is_empty() {
            for sector in touched.start / SECTOR..touched.end.div_ceil(SECTOR) {
                versions.entry(sector).or_default().push(part(&current, sector).to_vec());
            }
        }
    }
    for (sector, versions) in versions {
        if let Some(kept) = rng.usize(0..=versions.len()).checked_sub(1) {
            let start = sector * SECTOR;
            result.resize(result.len().max(start + SECTOR), 0);
            result[start..start + SECTOR].fill(0);
            result[start..start + versions[kept].len()].copy_from_slice(&versions[kept]);
        }
    }
    result.resize(rng.choice(&lengths).copied().unwrap_or_default(), 0);
    result
}

/// The bytes of a sector, or fewer at the end.
fn part(bytes: &[u8], sector: usize) -> &[u8] {
    let end = bytes.len().min((sector + 1) * SECTOR);
    bytes.get(sector * SECTOR..end).unwrap_or_default()
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes: written } => {
            let end = offset + written.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*offset..end].copy_from_slice(written);
        }
        Change::Resize(length) => bytes.resize(*length, 0),
    }
}

/// Copies the part of `bytes`, which begin at `at` in the file, that lies in the window that begins at `start`.
fn overlay(window: &mut [u8], start: usize, at: usize, bytes: &[u8]) {
    let (from, to) = (at.max(start), (at + bytes.len()).min(start + window.len()));
    if from < to {
        window[from - start..to - start].copy_from_slice(&bytes[from - at..to - at]);
    }
}
