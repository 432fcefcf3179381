//! The sample tables of a track (ISO/IEC 14496-12, 8.6 and 8.7).

use super::boxes::{child, u32_at, u64_at};

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Presentation time in the track's ticks, before the edit list.
    pub(super) time: i64,
    /// Ticks that it lasts.
    pub(super) duration: u32,
    /// Place in the file.
    pub(super) offset: u64,
    /// Its bytes.
    pub(super) size: u64,
}

/// More samples than 12 hours of 1,000 frames a second are not worth reading here.
const MAX_SAMPLES: u64 = 50_000_000;

/// Calls `each` with every sample of the track that `stbl` describes, in storage order. `None` if its tables contradict each
/// other or describe too many samples.
pub(super) fn for_each(stbl: &[u8], mut each: impl FnMut(Sample)) -> Option<()> {
    let sizes = Sizes::of(stbl)?;
    if sizes.count == 0 {
        return Some(());
    }
    if sizes.count > MAX_SAMPLES {
        return None;
    }
    let mut durations = Runs::of(child(stbl, *b"stts")?)?;
    let mut shifts = child(stbl, *b"ctts").map(Runs::of);
    let mut chunks = Chunks::of(stbl)?;
    let mut decoded: i64 = 0;
    let mut left_in_chunk = 0;
    let mut offset = 0;
    for number in 0..sizes.count {
        while left_in_chunk == 0 {
            (offset, left_in_chunk) = chunks.next()?;
        }
        let size = sizes.get(number)?;
        // FFmpeg lets the last duration go on where the table is too short.
        let duration = durations.next();
        // Version 0 has unsigned values, but encoders write negative ones there too.
        #[allow(clippy::cast_possible_wrap, reason = "negative values are stored in 32 bits")]
        let shift = i64::from(shifts.as_mut().map_or(Some(0), |runs| Some(runs.as_mut()?.next() as i32))?);
        each(Sample { time: decoded + shift, duration, offset, size });
        decoded += i64::from(duration);
        offset = offset.checked_add(size)?;
        left_in_chunk -= 1;
    }
    Some(())
}

/// Calls `each` with every chunk as if it were one sample: for sound in samples of equal size, of which there are millions.
pub(super) fn for_each_chunk(stbl: &[u8], mut each: impl FnMut(Sample)) -> Option<()> {
    let mut left = Sizes::of(stbl)?.count;
    let duration = u64::from(Runs::of(child(stbl, *b"stts")?)?.next());
    let mut chunks = Chunks::of(stbl)?;
    let mut time = 0;
    while left > 0 {
        let (offset, samples) = chunks.next()?;
        let samples = u64::from(samples).min(left);
        let ticks = u32::try_from(samples * duration).ok()?;
        each(Sample { time, duration: ticks, offset, size: 1 });
        time += i64::from(ticks);
        left -= samples;
    }
    Some(())
}

/// Sizes of samples: `stsz`, or `stz2` with fields of 4, 8 or 16 bits.
pub(super) struct Sizes<'a> {
    /// The size of all samples, unless it is 0.
    pub(super) constant: u32,
    pub(super) count: u64,
    table: &'a [u8],
    bits: u32,
}

impl<'a> Sizes<'a> {
    pub(super) fn of(stbl: &'a [u8]) -> Option<Self> {
        if let Some(stsz) = child(stbl, *b"stsz") {
            let (constant, count) = (u32_at(stsz, 4)?, u64::from(u32_at(stsz, 8)?));
            return Some(Self { constant, count, table: stsz.get(12..)?, bits: 32 });
        }
        let stz2 = child(stbl, *b"stz2")?;
        let bits = u32_at(stz2, 4)? & 0xff;
        let count = u64::from(u32_at(stz2, 8)?);
        matches!(bits, 4 | 8 | 16).then_some(Self { constant: 0, count, table: stz2.get(12..)?, bits })
    }

    fn get(&self, number: u64) -> Option<u64> {
        if self.constant > 0 {
            return Some(self.constant.into());
        }
        let number = usize::try_from(number).ok()?;
        Some(match self.bits {
            4 => {
                u64::from(*self.table.get(number / 2)? >> if number.is_multiple_of(2) { 4 } else { 0 } & 0xf)
            }
            8 => u64::from(*self.table.get(number)?),
            16 => u64::from(u16::from_be_bytes(self.table.get(number * 2..number * 2 + 2)?.try_into().ok()?)),
            _ => u64::from(u32_at(self.table, number.checked_mul(4)?)?),
        })
    }
}

/// A table of runs: pairs of a count and a value (`stts`, `ctts`). After its end the last value goes on.
struct Runs<'a> {
    table: &'a [u8],
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn of(full_box: &'a [u8]) -> Option<Self> {
        Some(Self { table: full_box.get(8..)?, left: 0, value: 0 })
    }

    fn next(&mut self) -> u32 {
        while self.left == 0 {
            let (Some(count), Some(value)) = (u32_at(self.table, 0), u32_at(self.table, 4)) else {
                return self.value;
            };
            (self.left, self.value) = (count, value);
            self.table = &self.table[8..];
        }
        self.left -= 1;
        self.value
    }
}

/// The chunks of a track, as offset and number of samples (`stsc` with `stco` or `co64`).
struct Chunks<'a> {
    offsets: &'a [u8],
    wide: bool,
    /// Entries of `stsc` that are still ahead: first chunk, samples per chunk, description.
    groups: &'a [u8],
    samples: u32,
    /// Number of the next chunk, from 1.
    number: u32,
}

impl<'a> Chunks<'a> {
    fn of(stbl: &'a [u8]) -> Option<Self> {
        let (table, wide) = match child(stbl, *b"stco") {
            Some(stco) => (stco, false),
            None => (child(stbl, *b"co64")?, true),
        };
        let groups = child(stbl, *b"stsc")?.get(8..)?;
        Some(Self { offsets: table.get(8..)?, wide, groups, samples: 0, number: 1 })
    }

    fn next(&mut self) -> Option<(u64, u32)> {
        while u32_at(self.groups, 0).is_some_and(|first| first <= self.number) {
            self.samples = u32_at(self.groups, 4)?;
            self.groups = self.groups.get(12..)?;
        }
        let offset = if self.wide { u64_at(self.offsets, 0)? } else { u32_at(self.offsets, 0)?.into() };
        self.offsets = &self.offsets[if self.wide { 8 } else { 4 }..];
        self.number += 1;
        Some((offset, self.samples))
    }
}
