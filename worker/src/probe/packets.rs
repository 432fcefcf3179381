//! Timestamps and sizes of the source's packets: what the file really holds, whatever its header states.
//!
//! FFmpeg demuxes the whole file without decoding it and prints one line per packet (`-f framecrc`). ffprobe could list packets
//! too, but only FFmpeg corrects time jumps, counter wraps and joined recordings as it does in the encode, so that the times
//! here are those that the encode will see. They count from the beginning of the file.

use std::collections::BTreeMap;
use std::time::Duration;

use super::density::Density;
use super::gaps::{Gap, Gaps};
use super::input::{self, Demuxing};
use super::jumps::{Follower, Jumps};
use crate::diagnosis::{Fault, fault};
use crate::failure::Failure;
use crate::process::CaptureError;
use crate::relay::Input;
use crate::tools::Tools;

/// The packets of every stream that was read, by FFmpeg's index of the stream. A stream without an entry is unknown; a stream
/// without packets has an entry with zero packets.
pub type Packets = BTreeMap<u32, StreamPackets>;

/// The packets of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StreamPackets {
    /// Number of packets. A packet is a frame of video (or one of its two fields, in some interlaced H.264), or a block of audio.
    pub packets: u64,
    /// The earliest presentation time in seconds; `None` without packets. Negative for the priming samples of an audio encoder.
    pub first_pts: Option<f64>,
    /// The latest presentation time plus the duration of that packet, in seconds; 0 without packets.
    pub end: f64,
    /// Bytes of all packets.
    pub bytes: u64,
    /// The largest number of packets within any second. Counts up to [`StreamPackets::MAX_DENSITY`].
    pub densest_second: u32,
    /// The long gaps between packets.
    pub gaps: Gaps,
    /// The time without packets before the last one, if it is long.
    pub before_last: Option<Gap>,
    /// Packets whose times are wrong. No other statement counts their times.
    pub jumps: Jumps,
}

impl StreamPackets {
    /// Upper bound of [`densest_second`](Self::densest_second); a stream with more has meaningless timestamps.
    pub const MAX_DENSITY: u32 = Density::MAX;

    pub(super) fn new(packets: u64, bytes: u64, times: Follower) -> Self {
        let (line, jumps) = times.finish();
        Self {
            packets,
            first_pts: line.first(),
            end: line.end(),
            bytes,
            densest_second: line.densest_second(),
            gaps: line.gaps(),
            before_last: line.before_last(),
            jumps,
        }
    }
}

/// Time for starting FFmpeg and reading the beginning of the file.
const START: Duration = Duration::from_secs(90);
/// The slowest rate at which a source is read before the machine counts as unable, in bytes per second.
const SLOWEST_READ: u64 = 4_000_000;

/// Reads the packets of the streams `indexes` of the source of `bytes` bytes at `input`. Reads the whole file.
///
/// A file that FFmpeg cannot read to its end gives the packets before that place. An empty result means that nothing is known.
pub async fn read(
    tools: &Tools,
    input: &Input,
    bytes: u64,
    indexes: &[u32],
    demuxing: Demuxing,
) -> Result<Packets, Failure> {
    if indexes.is_empty() {
        return Ok(Packets::new());
    }
    let args = argv(input.url(), indexes, demuxing);
    let mut table = Table::default();
    let time = START + Duration::from_secs(bytes / SLOWEST_READ);
    let invocation = tools.ffmpeg(args, input, super::bounds(time));
    let ended = invocation.for_each_line(time, |line| table.add(line)).await;
    let ended = ended.map_err(|error| match error {
        CaptureError::Machine(error) => error.into(),
        CaptureError::Timeout { limit, .. } => Failure::Timeout(limit),
        CaptureError::TooMuchOutput { .. } => Failure::EncoderFailed { diagnosis: error.to_string() },
    })?;
    if !ended.end.status.success() {
        tracing::info!(
            status = %ended.end,
            stderr = ended.stderr.replace(input.url(), "source"),
            "FFmpeg could not list all packets of the source"
        );
        match fault(ended.end, &ended.stderr) {
            Fault::File(failure @ Failure::TooComplex { .. }) => return Err(failure),
            Fault::File(_) | Fault::Unknown => {}
        }
        if table.streams.is_empty() {
            return Ok(Packets::new());
        }
    }
    let mut of = |position| table.streams.remove(&position).map(Stream::finish).unwrap_or_default();
    Ok((0..).zip(indexes).map(|(position, index)| (*index, of(position))).collect())
}

pub(super) fn argv(url: &str, indexes: &[u32], demuxing: Demuxing) -> Vec<String> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut args = words("-nostdin -hide_banner -v error");
    args.extend(input::guards());
    args.extend(demuxing.ffmpeg_args());
    args.extend(["-i".to_owned(), url.to_owned()]);
    for index in indexes {
        args.extend(["-map".to_owned(), format!("0:{index}")]);
    }
    // Packets before the first key frame count, and no packet waits in memory for those of another stream.
    args.extend(words("-c copy -copyinkf -max_interleave_delta 1"));
    args.extend(["-bsf".to_owned(), UNCHANGED_TIMES.to_owned()]);
    args.extend(words("-f framecrc -"));
    args
}

/// Makes FFmpeg list presentation times as they are: it would replace those that come before one that it has listed. Decoding times
/// become numbers that grow and come before every presentation time; where there is no other time, they are listed first.
const UNCHANGED_TIMES: &str = "setts=pts=if(eq(PTS\\,NOPTS)\\,DTS\\,PTS):dts=N-1000000000000";

/// The packets read so far, by position among the mapped streams.
#[derive(Default)]
struct Table {
    streams: BTreeMap<u32, Stream>,
    time_bases: BTreeMap<u32, f64>,
}

#[derive(Default)]
struct Stream {
    packets: u64,
    bytes: u64,
    times: Follower,
}

/// FFmpeg's `AV_NOPTS_VALUE`.
const NO_TIMESTAMP: i64 = i64::MIN;

impl Table {
    /// Adds a line: `#tb <stream>: <numerator>/<denominator>`, or `<stream>, <dts>, <pts>, <duration>, <size>, …`.
    fn add(&mut self, line: &str) {
        if let Some((stream, base)) = line.strip_prefix("#tb ").and_then(|text| text.split_once(": ")) {
            let base = base.split_once('/').and_then(|(numerator, denominator)| {
                Some(numerator.parse::<f64>().ok()? / denominator.trim().parse::<f64>().ok()?)
            });
            if let (Ok(stream), Some(base)) = (stream.parse(), base.filter(|base| base.is_finite())) {
                self.time_bases.insert(stream, base);
            }
            return;
        }
        let mut fields = line.split(',').map(|field| field.trim().parse::<i64>().ok());
        let mut next = || fields.next().flatten();
        let (Some(stream), Some(dts), Some(pts), Some(duration), Some(size)) =
            (next().and_then(|stream| u32::try_from(stream).ok()), next(), next(), next(), next())
        else {
            return;
        };
        let Some(&base) = self.time_bases.get(&stream) else { return };
        // Raw streams have decoding times only.
        let ticks = if pts == NO_TIMESTAMP { dts } else { pts };
        #[allow(clippy::cast_precision_loss, reason = "timestamps in seconds")]
        let (time, duration) =
            ((ticks != NO_TIMESTAMP).then_some(ticks as f64 * base), duration.max(0) as f64 * base);
        self.streams.entry(stream).or_default().add(time, duration, u64::try_from(size).unwrap_or(0));
    }
}

impl Stream {
    fn add(&mut self, time: Option<f64>, duration: f64, bytes: u64) {
        self.packets += 1;
        self.bytes += bytes;
        if let Some(time) = time {
            self.times.add(time, duration);
        }
    }

    fn finish(self) -> StreamPackets {
        StreamPackets::new(self.packets, self.bytes, self.times)
    }
}

/// The packets that `text` lists, by position among the mapped streams.
#[cfg(any(test, feature = "testing"))]
pub(super) fn parse(text: &str) -> Packets {
    let mut table = Table::default();
    text.lines().for_each(|line| table.add(line));
    table.streams.into_iter().map(|(position, stream)| (position, stream.finish())).collect()
}

#[cfg(test)]
mod tests {
    use super::parse as table;
    use super::*;

    #[test]
    fn reordered_packets_are_counted_with_their_earliest_and_latest_time() {
        let text = "#software: Lavf59\n#tb 0: 1/10\n#media_type 0: video\n0, -1, 0, 1, 700, 0x1\n0, 0, 2, 1, 20, 0x2, F=0x0\n\
                    0, 1, 1, 1, 30, 0x3, F=0x0\n";
        let found = table(text)[&0];
        let expected =
            StreamPackets { packets: 3, first_pts: Some(0.0), bytes: 750, densest_second: 3, ..found };
        assert!((found.end - 0.3).abs() < 1e-9);
        assert_eq!((found, found.gaps.in_order()), (expected, vec![]));
    }

    #[test]
    fn decoding_times_replace_missing_presentation_times_and_steps_replace_durations() {
        let text = format!("#tb 1: 1/2\n1, 0, {NO_TIMESTAMP}, 0, 5, 0x0\n1, 1, {NO_TIMESTAMP}, 0, 5, 0x0\n");
        let found = table(&text)[&1];
        assert_eq!((found.packets, found.first_pts, found.end), (2, Some(0.0), 1.0));
    }

    #[test]
    fn lines_that_are_no_packets_are_ignored() {
        assert_eq!(table("#tb 0: 1/0\n0, 1, 1, 1, 1, 0x0\nnoise\n\n7, 1\n"), BTreeMap::new());
    }
}
