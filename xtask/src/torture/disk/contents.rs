//! The bytes of a file: those on the medium, and the changes since they were last synced.

use fastrand::Rng;

use super::loss::{Loss, Lost};

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
                Change::Resize(length) => window.iter_mut().skip(length.saturating_sub(offset)).for_each(|byte| *byte = 0),
            }
        }
        window
    }

    /// Writes `bytes` at `offset`. A gap before it reads as zeros.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
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
            apply(&mut self.durable, change);
        }
    }

    /// Keeps what a power loss leaves: the synced bytes, and of the later changes those that `loss` keeps.
    pub(super) fn lose_power(&mut self, loss: Loss, rng: &mut Rng) -> Lost {
        let changes = std::mem::take(&mut self.unsynced);
        let mut lost = Lost::default();
        // With `Loss::Latest` everything from this change on is lost.
        let first_lost = rng.usize(0..=changes.len());
        for (index, change) in changes.into_iter().enumerate() {
            let fate = match loss {
                Loss::All => Fate::Lost,
                Loss::Latest if index < first_lost => Fate::Kept,
                Loss::Latest if index == first_lost => Fate::Torn,
                Loss::Latest => Fate::Lost,
                Loss::Any => *rng.choice(&[Fate::Kept, Fate::Lost, Fate::Torn]).unwrap_or(&Fate::Lost),
            };
            match (fate, change) {
                (Fate::Kept, change) => apply(&mut self.durable, change),
                (Fate::Torn, Change::Write { offset, bytes }) => {
                    let kept = torn_length(offset, bytes.len(), rng);
                    lost.torn += u64::from(kept > 0);
                    lost.changes += u64::from(kept == 0);
                    if kept > 0 {
                        apply(&mut self.durable, Change::Write { offset, bytes: bytes[..kept].to_vec() });
                    }
                }
                (Fate::Lost | Fate::Torn, _) => lost.changes += 1,
            }
        }
        self.length = self.durable.len();
        lost
    }
}

/// What happens to a change that was not synced.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Kept,
    Lost,
    /// The first sectors of a write are kept.
    Torn,
}

/// The number of bytes of a torn write that are kept: those before a boundary of sectors in it, or none.
fn torn_length(offset: usize, length: usize, rng: &mut Rng) -> usize {
    let first = (offset / SECTOR + 1) * SECTOR;
    let boundaries: Vec<usize> = (first..offset + length).step_by(SECTOR).collect();
    rng.choice(&boundaries).map_or(0, |boundary| boundary - offset)
}

fn apply(bytes: &mut Vec<u8>, change: Change) {
    match change {
        Change::Write { offset, bytes: written } => {
            let end = offset + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[offset..end].copy_from_slice(&written);
        }
        Change::Resize(length) => bytes.resize(length, 0),
    }
}

/// Copies the part of `bytes`, which begin at `at` in the file, that lies in the window that begins at `start`.
fn overlay(window: &mut [u8], start: usize, at: usize, bytes: &[u8]) {
    let (from, to) = (at.max(start), (at + bytes.len()).min(start + window.len()));
    if from < to {
        window[from - start..to - start].copy_from_slice(&bytes[from - at..to - at]);
    }
}
