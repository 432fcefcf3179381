//! MPEG transport streams (ISO/IEC 13818-1): packets of 188 bytes, which state the streams of the file again and again.

mod tables;

use std::sync::Arc;

use self::tables::{Class, Tables};
use crate::relay::Source;
use crate::storage::StorageError;

/// What a packet begins with.
const SYNC: u8 = 0x47;
/// Bytes of a packet.
pub(super) const PACKET: usize = 188;
/// Bytes from one packet to the next: plain, with a time before each (M2TS), with a checksum after each.
const DISTANCES: [usize; 3] = [PACKET, 192, 204];
/// Packets that show where packets begin.
const PROOF: usize = 16;
/// Parts of the file whose streams are compared with those at its beginning.
const SAMPLES: u64 = 16;
/// Bytes that are read in one place, at most, until the streams are stated.
const WINDOW: u64 = 1024 * 1024;
/// Bytes up to which the place of a change is narrowed down.
const PRECISION: u64 = 64 * 1024;

/// Streams that begin, or change their format, in mid-stream.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::probe) struct Changes {
    /// Changes of format. Where they are in the same stream, FFmpeg goes on to decode the first format.
    pub(in crate::probe) formats: Vec<FormatChange>,
    /// Streams that are not stated at the beginning, by their packets' identifier.
    pub(in crate::probe) later: Vec<u16>,
}

/// A change of format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::probe) struct FormatChange {
    /// The stream, by its packets' identifier.
    pub(in crate::probe) pid: u16,
    /// The stream that takes its place; `None` if it is the same.
    pub(in crate::probe) replaced_by: Option<u16>,
    /// Seconds from the beginning of the file; `None` if its times are not continuous until then.
    pub(in crate::probe) seconds: Option<f64>,
}

/// Bytes from one packet to the next, if `bytes` begin, after less than one packet, with packets.
fn distance(bytes: &[u8]) -> Option<(usize, usize)> {
    DISTANCES.into_iter().find_map(|distance| {
        let is_start =
            |start: &usize| (0..PROOF).all(|packet| bytes.get(start + packet * distance) == Some(&SYNC));
        (0..distance).find(is_start).map(|start| (distance, start))
    })
}

/// Whether the file, whose beginning is `head`, consists of such packets.
pub(super) fn begins(head: &[u8]) -> bool {
    distance(head).is_some()
}

/// Whether the last packet is not complete; `None` if the file does not end in packets.
pub(super) async fn is_cut(source: &Source, head: &[u8]) -> Result<Option<bool>, Arc<StorageError>> {
    let Some((distance, _)) = distance(head) else { return Ok(None) };
    let bytes = source.bytes();
    let length = ((PROOF + 1) * distance) as u64;
    if bytes < length {
        return Ok(None);
    }
    let end = source.read(bytes - length..bytes).await?;
    // The last packets: all of them, up to the end, have to begin where they should.
    let start =
        (0..distance).find(|start| end.iter().skip(*start).step_by(distance).all(|byte| *byte == SYNC));
    Ok(start.map(|start| {
        let last = (end.len() - 1 - start) % distance + 1;
        last < PACKET
    }))
}

/// Compares the streams that the file states in several places.
pub(super) async fn changes(source: &Source) -> Result<Changes, Arc<StorageError>> {
    let bytes = source.bytes();
    let Some(first) = tables(source, 0).await? else { return Ok(Changes::default()) };
    let mut found = Changes::default();
    let mut before = (0, first.time);
    let mut is_continuous = true;
    for sample in 1..=SAMPLES {
        let place = (bytes * sample / SAMPLES).saturating_sub(WINDOW.min(bytes / SAMPLES));
        let Some(tables) = tables(source, place).await? else { continue };
        for (pid, class) in &tables.streams {
            let (changed, replaced_by) = match first.streams.get(pid) {
                Some(other) if other == class => continue,
                Some(_) => (Some(*pid), None),
                None if found.later.contains(pid) => continue,
                None => {
                    found.later.push(*pid);
                    (first.missing_in(&tables, *class), Some(*pid))
                }
            };
            let Some(changed) = changed.filter(|pid| found.formats.iter().all(|change| change.pid != *pid))
            else {
                continue;
            };
            let time = last_time_before(source, *pid, *class, before.0, place).await?;
            let seconds = time.filter(|_| is_continuous).zip(first.time).map(|(time, first)| time - first);
            let seconds = seconds.filter(|seconds| *seconds >= 0.0);
            found.formats.push(FormatChange { pid: changed, replaced_by, seconds });
        }
        is_continuous &= tables.time >= before.1;
        before = (place, tables.time);
    }
    Ok(found)
}

/// The last time of a packet before stream `pid` has the class `class`, which it has at `after` and not at `before`.
async fn last_time_before(
    source: &Source,
    pid: u16,
    class: Class,
    mut before: u64,
    mut after: u64,
) -> Result<Option<f64>, Arc<StorageError>> {
    while after - before > PRECISION {
        let middle = before.midpoint(after);
        match tables(source, middle).await? {
            Some(tables) if tables.streams.get(&pid) == Some(&class) => after = middle,
            _ => before = middle,
        }
    }
    let window = source.read(before..(after + WINDOW).min(source.bytes())).await?;
    Ok(tables::last_time(packets(&window), pid, class))
}

/// What the file states from `place` on; `None` if it states nothing there.
async fn tables(source: &Source, place: u64) -> Result<Option<Tables>, Arc<StorageError>> {
    let window = source.read(place..(place + WINDOW).min(source.bytes())).await?;
    Ok(Tables::read(packets(&window)))
}

/// The packets in `bytes`.
fn packets(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (distance, start) = distance(bytes).unwrap_or((PACKET, bytes.len()));
    bytes[start..].chunks(distance).filter_map(|chunk| chunk.get(..PACKET)).filter(|packet| packet[0] == SYNC)
}
