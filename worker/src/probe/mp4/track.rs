//! One track of an index.

use super::boxes::{Boxes, child, descendant, u32_at, u64_at};
use super::samples::{self, Sample, Sizes};
use crate::probe::gaps::Gaps;
use crate::probe::jumps::Follower;
use crate::probe::packets::StreamPackets;

/// What a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) enum Kind {
    Video,
    Audio,
    /// Subtitles, time codes, metadata, …
    Other,
}

/// A track as its index describes it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::probe) struct Track {
    pub(in crate::probe) kind: Kind,
    /// All samples.
    pub(in crate::probe) stated: StreamPackets,
    /// The samples that lie within the file.
    pub(in crate::probe) present: StreamPackets,
    /// Offset and size of the last sample within the file, if its codec compresses: such a sample never consists of zeros.
    pub(in crate::probe) last_compressed: Option<(u64, u64)>,
}

/// Codecs whose samples may be all zeros: silence or black, uncompressed.
const UNCOMPRESSED: [&[u8; 4]; 16] = [
    b"raw ", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"fl64", b"lpcm", b"ipcm", b"fpcm", b"NONE",
    b"ulaw", b"alaw", b"2vuy", b"v210", b"yuv2",
];

impl Track {
    pub(super) fn parse(trak: &[u8], movie_scale: f64, file_bytes: u64) -> Option<Self> {
        let mdia = child(trak, *b"mdia")?;
        let kind = match descendant(mdia, &[*b"hdlr"]).and_then(|handler| handler.get(8..12)) {
            Some(b"vide") => Kind::Video,
            Some(b"soun") => Kind::Audio,
            _ => Kind::Other,
        };
        let stbl = descendant(mdia, &[*b"minf", *b"stbl"])?;
        let codec = child(stbl, *b"stsd").and_then(|stsd| stsd.get(12..16)?.try_into().ok());
        let codec: [u8; 4] = codec.unwrap_or_default();
        let mut parsed = Self {
            kind,
            stated: StreamPackets::default(),
            present: StreamPackets::default(),
            last_compressed: None,
        };
        if kind == Kind::Other {
            return Some(parsed);
        }
        let timeline = Timeline::of(trak, mdia, movie_scale)?;
        let (mut stated, mut present) = (Counter::new(&timeline), Counter::new(&timeline));
        let mut last = None;
        let mut has_gaps = true;
        let mut count = |sample: Sample| {
            stated.add(&sample);
            if sample.offset.saturating_add(sample.size) <= file_bytes {
                present.add(&sample);
                last = last.max(Some((sample.offset, sample.size)));
            }
        };
        if kind == Kind::Audio && Sizes::of(stbl)?.constant > 0 {
            samples::for_each_chunk(stbl, &mut count)?;
            has_gaps = false;
        } else {
            samples::for_each(stbl, &mut count)?;
            parsed.last_compressed = last.filter(|_| !UNCOMPRESSED.contains(&&codec));
        }
        (parsed.stated, parsed.present) = (stated.finish(), present.finish());
        if !has_gaps {
            // A chunk is no packet, and may last for hours.
            (parsed.stated.gaps, parsed.present.gaps) = (Gaps::default(), Gaps::default());
            (parsed.stated.before_last, parsed.present.before_last) = (None, None);
        }
        Some(parsed)
    }
}

/// Whether a sample entry of this kind describes encrypted samples: Common Encryption (ISO/IEC 23001-7), `FairPlay`, Audible.
fn is_encrypted(codec: [u8; 4]) -> bool {
    matches!(&codec, b"encv" | b"enca" | b"drms" | b"drmi" | b"aavd")
}

/// Maps the times of samples to those of the presentation (8.6.6).
struct Timeline {
    ticks_per_second: f64,
    /// Empty without an edit list: everything is presented as it is.
    edits: Vec<Edit>,
}

/// A part of the presentation.
struct Edit {
    /// Where it begins in the presentation, in seconds.
    start: f64,
    /// Seconds that it lasts; infinite for the rest of the track.
    duration: f64,
    /// The first presented time of samples, in seconds.
    media_start: f64,
}

/// More edits than a cutting program makes.
const MAX_EDITS: usize = 1_000;

impl Timeline {
    fn of(trak: &[u8], mdia: &[u8], movie_scale: f64) -> Option<Self> {
        let header = child(mdia, *b"mdhd")?;
        let scale = u32_at(header, if *header.first()? == 1 { 20 } else { 12 })?;
        let ticks_per_second = f64::from(if scale == 0 { 1 } else { scale });
        let mut timeline = Self { ticks_per_second, edits: Vec::new() };
        let list = descendant(trak, &[*b"edts", *b"elst"]);
        let Some(list) = list else { return Some(timeline) };
        let wide = *list.first()? == 1;
        let mut start = 0.0;
        for entry in list.get(8..)?.chunks_exact(if wide { 20 } else { 12 }).take(MAX_EDITS) {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "times in seconds")]
            let (duration, begin) = if wide {
                (u64_at(entry, 0)? as f64, u64_at(entry, 8)? as i64)
            } else {
                (f64::from(u32_at(entry, 0)?), i64::from(u32_at(entry, 4)? as i32))
            };
            let duration = duration / movie_scale;
            #[allow(clippy::cast_precision_loss, reason = "times in seconds")]
            if begin >= 0 {
                // A duration of zero means the rest, which muxers write before they know it.
                let duration = if duration == 0.0 { f64::INFINITY } else { duration };
                timeline.edits.push(Edit { start, duration, media_start: begin as f64 / ticks_per_second });
            }
            start += duration;
        }
        Some(timeline)
    }

    /// Calls `each` with the beginning and end of every presentation of a sample, in seconds.
    fn present(&self, sample: &Sample, mut each: impl FnMut(f64, f64)) {
        #[allow(clippy::cast_precision_loss, reason = "times in seconds")]
        let begin = sample.time as f64 / self.ticks_per_second;
        let end = begin + f64::from(sample.duration) / self.ticks_per_second;
        if self.edits.is_empty() {
            each(begin, end);
        }
        for edit in &self.edits {
            // Half a tick: the scales of the movie and of the track differ.
            let slack = 0.5 / self.ticks_per_second;
            let (from, until) = (begin - edit.media_start, end - edit.media_start);
            if until > slack && from < edit.duration - slack {
                each(edit.start + from.max(0.0), edit.start + until.min(edit.duration));
            }
        }
    }
}

struct Counter<'a> {
    timeline: &'a Timeline,
    packets: u64,
    bytes: u64,
    times: Follower,
}

impl<'a> Counter<'a> {
    fn new(timeline: &'a Timeline) -> Self {
        // Several edits may present a sample several times.
        let times = if timeline.edits.len() > 1 { Follower::trusting() } else { Follower::default() };
        Self { timeline, packets: 0, bytes: 0, times }
    }

    fn add(&mut self, sample: &Sample) {
        self.packets += 1;
        self.bytes += sample.size;
        self.timeline.present(sample, |begin, end| self.times.add(begin, end - begin));
    }

    fn finish(self) -> StreamPackets {
        StreamPackets::new(self.packets, self.bytes, self.times)
    }
}

/// Whether any sample description of `moov` is encrypted, also where the index has no samples (fragmented files).
pub(in crate::probe) fn any_encrypted(moov: &[u8]) -> bool {
    Boxes(moov).filter(|(kind, _)| kind == b"trak").any(|(_, trak)| {
        let stsd = descendant(trak, &[*b"mdia", *b"minf", *b"stbl", *b"stsd"]);
        stsd.and_then(|stsd| stsd.get(12..16)?.try_into().ok())
            .is_some_and(|codec: [u8; 4]| is_encrypted(codec))
    })
}
