//! What is known of a file before its packets are read.

use super::{Media, Stream};
use crate::failure::Failure;
use crate::probe::packets::Packets;
use crate::probe::{FormatChange, GoesOn, structure};

/// Major brands of image formats that use the MP4 container (HEIF and AVIF; ISO/IEC 23008-12, AVIF 1.1).
const IMAGE_BRANDS: [&str; 10] =
    ["avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"];

/// At or below this score FFmpeg guessed a format without evidence (`AVPROBE_SCORE_RETRY` is 25), so the file is not media.
const MAX_SCORE_OF_NOISE: i64 = 5;

/// Streams of a file. A broadcast has a few dozen; FFmpeg keeps a decoder and buffers for each.
const MAX_STREAMS: usize = 256;

impl Media {
    /// Refuses what is not media at all.
    pub(in crate::probe) fn check(self) -> Result<Self, Failure> {
        if self.format.tags.major_brand.as_deref().is_some_and(|brand| IMAGE_BRANDS.contains(&brand.trim())) {
            return Err(Failure::ImageNotSupported);
        }
        if self.format.probe_score <= MAX_SCORE_OF_NOISE {
            return Err(Failure::NotMedia);
        }
        if self.streams.len() > MAX_STREAMS {
            return Err(Failure::TooManyStreams { streams: self.streams.len(), limit: MAX_STREAMS });
        }
        Ok(self)
    }

    /// The number of streams, cover art included.
    pub(in crate::probe) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Whether any of the streams with the numbers `ids` is missing.
    pub(in crate::probe) fn lacks(&self, ids: &[u16]) -> bool {
        ids.iter().any(|id| self.streams.iter().all(|stream| stream.number() != Some(*id)))
    }

    /// The streams that change their format, with FFmpeg's indexes.
    pub(in crate::probe) fn changed(&self, changes: &[structure::FormatChange]) -> Vec<FormatChange> {
        let index =
            |pid| self.streams.iter().find(|stream| stream.number() == Some(pid)).map(|stream| stream.index);
        let of = |change: &structure::FormatChange| {
            let goes_on = change.replaced_by.map_or(GoesOn::InItself, |pid| GoesOn::InAnother(index(pid)));
            Some(FormatChange { index: index(change.pid)?, goes_on, seconds: change.seconds })
        };
        changes.iter().filter_map(of).collect()
    }

    /// Whether the container is MP4 or `QuickTime`.
    pub(in crate::probe) fn is_mp4(&self) -> bool {
        self.format.name.starts_with("mov,")
    }

    /// Whether the container states decoding times only.
    pub(in crate::probe) fn decoding_times_only(&self) -> bool {
        self.format.name == "avi"
    }

    /// The number of streams in a known codec of which nothing else is known, because no packet of them was read.
    pub(in crate::probe) fn undescribed(&self) -> usize {
        let is_undescribed = |stream: &&Stream| match stream.codec_type.as_deref() {
            Some("video") => stream.pixels() == 0,
            Some("audio") => stream.channels == 0,
            _ => false,
        };
        self.streams.iter().filter(|stream| stream.codec_name.is_some()).filter(is_undescribed).count()
    }

    /// Milliseconds by which the first of `packets` comes before the start that FFmpeg takes for the file: that of the streams whose
    /// start it knows. FFmpeg does not find the start of some streams without a stated rate, as in live recordings.
    pub(in crate::probe) fn begins_earlier(&self, packets: &Packets) -> u32 {
        let is_unknown =
            |stream: &&Stream| stream.start_time.as_deref().is_none_or(|time| time.parse::<f64>().is_err());
        let firsts = self.streams.iter().filter(is_unknown);
        let earliest = firsts.filter_map(|stream| packets.get(&stream.index)?.first_pts).fold(0.0, f64::min);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive; casts saturate"
        )]
        let milliseconds = (-earliest * 1000.0).round() as u32;
        milliseconds
    }

    /// FFmpeg's indexes of the streams whose packets it can copy: pictures and sound in a known codec.
    pub(in crate::probe) fn readable_streams(&self) -> Vec<u32> {
        let is_readable = |stream: &&Stream| {
            matches!(stream.codec_type.as_deref(), Some("video" | "audio")) && stream.codec_name.is_some()
        };
        self.streams.iter().filter(is_readable).map(|stream| stream.index).collect()
    }
}
