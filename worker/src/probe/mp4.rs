//! The index of an MP4 or QuickTime file (`moov`, ISO/IEC 14496-12): time, size and place of every sample.
//!
//! It states what the whole file holds, without reading the media: a file of 100 GB needs a few requests. Only plain files are
//! read here. Fragmented ones have no such index.

mod boxes;
mod samples;
mod track;

use boxes::Boxes;
pub(super) use boxes::Header;
pub(super) use track::any_encrypted;
use track::{Kind, Track};

use super::gaps::Gap;
use super::packets::Packets;

/// The tracks of an index, in FFmpeg's order of streams.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Index {
    pub(super) tracks: Vec<Track>,
    /// Whether more samples follow in fragments (`mvex`), so that the index is not complete.
    pub(super) is_fragmented: bool,
}

impl Index {
    /// Parses the contents of `moov`. `file_bytes` is the size of the file: samples beyond it are missing. `None` if the tables
    /// contradict each other or have more entries than are worth reading.
    pub(super) fn parse(moov: &[u8], file_bytes: u64) -> Option<Self> {
        let mut index = Self { tracks: Vec::new(), is_fragmented: false };
        for (kind, payload) in Boxes(moov) {
            match &kind {
                b"mvex" => index.is_fragmented = true,
                b"trak" => index.tracks.push(Track::parse(payload, movie_scale(moov)?, file_bytes)?),
                _ => {}
            }
        }
        index.shift_to_zero();
        Some(index)
    }

    /// The samples that lie within the file, by FFmpeg's index of the stream; `None` unless FFmpeg found at least the same
    /// number of streams. It numbers tracks in their order, and cover art after them.
    pub(super) fn packets(&self, streams: usize) -> Option<Packets> {
        let is_timed = |track: &&Track| track.kind != Kind::Other;
        (streams >= self.tracks.len()).then(|| {
            (0..)
                .zip(&self.tracks)
                .filter(|(_, track)| is_timed(track))
                .map(|(index, track)| (index, track.present))
                .collect()
        })
    }

    /// FFmpeg's time zero is the beginning of the earliest stream.
    fn shift_to_zero(&mut self) {
        let start =
            self.tracks.iter().filter_map(|track| track.stated.first_pts).reduce(f64::min).unwrap_or(0.0);
        for track in &mut self.tracks {
            for packets in [&mut track.stated, &mut track.present] {
                if let Some(first) = &mut packets.first_pts {
                    *first -= start;
                    packets.end -= start;
                    packets.gaps.shift(-start);
                    packets.jumps.shift(-start);
                    packets.before_last =
                        packets.before_last.map(|gap| Gap { start: gap.start - start, end: gap.end - start });
                }
            }
        }
    }
}

/// Ticks per second of the durations in edit lists.
fn movie_scale(moov: &[u8]) -> Option<f64> {
    let header = boxes::child(moov, *b"mvhd")?;
    let position = if *header.first()? == 1 { 20 } else { 12 };
    boxes::u32_at(header, position).filter(|scale| *scale > 0).map(f64::from)
}

#[cfg(test)]
mod tests;
