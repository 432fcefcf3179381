//! Probes the source: its container and streams with ffprobe, its packets with FFmpeg. Validates the result.

mod decodable;
mod density;
mod first_frame;
pub mod gaps;
pub mod input;
pub mod jumps;
mod line;
mod mp4;
pub mod packets;
mod parse;
mod refusal;
mod sizes;
mod structure;
#[cfg(feature = "testing")]
pub mod testing;
mod warnings;

use std::time::Duration;

pub use decodable::is_decodable;
use input::Demuxing;
use packets::{Packets, StreamPackets};
use streamio_events::media::MediaSource;

use crate::diagnosis::{Fault, fault, oversized_frame};
use crate::failure::{Failure, MachineError, Resource};
use crate::frame_rate::FrameRate;
use crate::process::{Bounds, CaptureError};
use crate::relay::{Input, Source};
use crate::tools::Tools;

/// The source's container, streams and duration.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Duration in seconds: measured, or else stated by the container; `None` if neither is known.
    pub duration: Option<f64>,
    /// Duration in seconds of the packets in the file, for the streams in use; `None` if they are unknown.
    pub measured_duration: Option<f64>,
    /// Whether a part of the file is missing, as its own index, header or last packet shows.
    pub is_truncated: bool,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The main video stream. Cover art does not count.
    pub video: Option<VideoStream>,
    /// The audio tracks, default track first.
    pub audio: Vec<AudioStream>,
    /// What the file holds of each stream. Streams without an entry are unknown.
    pub packets: Packets,
    /// How to read the file.
    pub demuxing: Demuxing,
    /// Video streams that are not used, cover art aside.
    pub other_pictures: Vec<u32>,
    /// Streams that change their format in mid-stream.
    pub changes: Vec<FormatChange>,
    /// Bytes of zeros after what seems to be the end of the media.
    pub zeros_after: u64,
}

/// A stream whose format changes in mid-stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FormatChange {
    /// FFmpeg's index of the stream.
    pub index: u32,
    /// How it goes on.
    pub goes_on: GoesOn,
    /// Seconds from the beginning of the file, if they are known.
    pub seconds: Option<f64>,
}

/// A video stream.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoStream {
    /// FFmpeg's index of the stream.
    pub index: u32,
    /// Codec name as FFmpeg spells it.
    pub codec: String,
    /// Width and height of the largest coded frame in pixels.
    pub coded: (u32, u32),
    /// Width and height as displayed for the longest time: with square pixels, rotation applied.
    pub display: (u32, u32),
    /// Clockwise rotation from the metadata in degrees: 0, 90, 180 or 270.
    pub rotation: u16,
    /// Whether only the codec states the rotation, and not for every frame. FFmpeg then applies it only to the frames that do; else
    /// it applies it to all when decoding.
    pub rotation_persists: bool,
    /// The lowest rate that fits all timestamps, as estimated by ffprobe (`r_frame_rate`).
    pub nominal_rate: Option<FrameRate>,
    /// Frames divided by duration (`avg_frame_rate`).
    pub average_rate: Option<FrameRate>,
    /// Whether frames consist of two fields.
    pub interlaced: bool,
    /// Colour coding.
    pub color: Color,
    /// Duration in seconds, if the container states it.
    pub duration: Option<f64>,
    /// Seconds by which the decoder returns pictures late. Not 0 only where the container states decoding times only and
    /// pictures are stored in another order than shown.
    pub delay: f64,
}

/// How a stream goes on whose format changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// In itself, where FFmpeg cannot decode it.
    InItself,
    /// In another stream: FFmpeg's index, if FFmpeg found it.
    InAnother(Option<u32>),
}

/// Colour coding, in FFmpeg's names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Color {
    /// Pixel format, such as `yuv420p10le`.
    pub pixel_format: String,
    /// Transfer function, such as `smpte2084`.
    pub transfer: Option<String>,
    /// Colour primaries, such as `bt2020`.
    pub primaries: Option<String>,
    /// Colour matrix, such as `bt2020nc`.
    pub matrix: Option<String>,
    /// The highest luminance of HDR content in nits, if the file states it.
    pub peak: Option<u32>,
}

/// An audio track.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioStream {
    /// FFmpeg's index of the stream.
    pub index: u32,
    /// Codec name as FFmpeg spells it.
    pub codec: String,
    /// Number of channels.
    pub channels: u32,
    /// Language from the container, in lower case: two or three letters, optionally with subtags.
    pub language: Option<String>,
    /// Title from the container.
    pub title: Option<String>,
    /// Duration in seconds, if the container states it.
    pub duration: Option<f64>,
}

impl Probe {
    /// The source as recorded in events. `encoded` is the duration of the output. If it differs from that of the source, it is
    /// the one to show, because it is what can be played.
    pub fn to_media_source(&self, encoded: Duration) -> MediaSource {
        let encoded = encoded.as_secs_f64();
        // Encoders add up to a frame of each kind.
        let duration =
            self.duration.filter(|duration| (duration - encoded).abs() < SAME_DURATION).unwrap_or(encoded);
        let video = self.video.as_ref();
        MediaSource {
            duration_seconds: (duration * 1000.0).round() / 1000.0,
            width: video.map(|video| video.display.0),
            height: video.map(|video| video.display.1),
            rotation: video.map_or(0, |video| video.rotation),
            frame_rate: video
                .and_then(|video| video.average_rate.or(video.nominal_rate))
                .map(FrameRate::per_second)
                // Three decimal places: the exact fraction has no short decimal form.
                .map(|rate| (rate * 1000.0).round() / 1000.0),
            video_codec: video.map(|video| video.codec.clone()),
            audio_codec: self.audio.first().map(|audio| audio.codec.clone()),
            bytes: self.bytes,
            warnings: warnings::of(self),
        }
    }

    /// Logs the main properties. Those that the source does not have are left out.
    pub fn log(&self) {
        let video = self.video.as_ref();
        tracing::info!(
            source.bytes = self.bytes,
            source.duration_seconds = self.duration,
            video.codec = video.map(|video| video.codec.as_str()),
            video.width = video.map(|video| video.display.0),
            video.height = video.map(|video| video.display.1),
            video.rotation = video.map(|video| video.rotation),
            video.pixel_format = video.map(|video| video.color.pixel_format.as_str()),
            video.frame_rate =
                video.and_then(|video| video.average_rate.or(video.nominal_rate)).map(FrameRate::per_second),
            audio.codec = self.audio.first().map(|audio| audio.codec.as_str()),
            audio.channels = self.audio.first().map(|audio| audio.channels),
            audio.tracks = self.audio.len(),
            "the source was probed"
        );
    }

    /// Pixels of a coded picture; 0 without a picture.
    pub fn pixels(&self) -> u64 {
        self.video.as_ref().map_or(0, |video| u64::from(video.coded.0) * u64::from(video.coded.1))
    }

    /// Whether the output is shorter than the packets in the file by more than 10 % plus one second, which means that a part of
    /// them could not be decoded. FFmpeg reports no error as long as it can decode others.
    pub fn is_shortened(&self, encoded: Duration) -> bool {
        self.measured_duration.is_some_and(|measured| encoded.as_secs_f64() < measured * 0.9 - 1.0)
    }
}

/// Durations in seconds that differ by less are the same: what encoders add to the last frames.
const SAME_DURATION: f64 = 0.15;

impl VideoStream {
    /// A stream of upright pictures of one size, of which nothing else is known.
    #[cfg(test)]
    pub(crate) fn of_size(codec: &str, width: u32, height: u32) -> Self {
        Self {
            index: 0,
            codec: codec.to_owned(),
            coded: (width, height),
            display: (width, height),
            rotation: 0,
            rotation_persists: false,
            nominal_rate: None,
            average_rate: None,
            interlaced: false,
            color: Color::default(),
            duration: None,
            delay: 0.0,
        }
    }

    /// Sets the clockwise rotation of a stream that has none: 0, 90, 180 or 270 degrees.
    fn rotate(&mut self, degrees: u16) {
        self.rotation = degrees;
        if !degrees.is_multiple_of(180) {
            self.display = (self.display.1, self.display.0);
        }
    }
}

/// Enough for a file with its index at the end, over a slow network.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Only few fields are requested, so only a file with thousands of streams exceeds this.
const MAX_OUTPUT_BYTES: u64 = 4 * 1024 * 1024;

/// Probes `source`, which FFmpeg reads as `input`.
///
/// The file is untrusted: [`input::guards`] prevents ffprobe from opening other files or hosts that it names.
///
/// Its packets are counted because headers state durations and rates that the media does not have. A plain MP4 has an index of all
/// samples, which is enough and costs a request or two. Every other format has to be read once from beginning to end: that takes a
/// small part of the time of the encode, which reads it again.
pub async fn probe(tools: &Tools, source: &Source, input: &Input) -> Result<Probe, Failure> {
    let head = source.chunk_at(0).await.map_err(Failure::from_source_error)?;
    refusal::check(&head)?;
    let structure = async { structure::read(source, &head).await.map_err(Failure::from_source_error) };
    let (report, structure) = tokio::join!(report(tools, input, Demuxing::default()), structure);
    let structure = structure?;
    if structure.is_encrypted {
        return Err(Failure::DrmProtected);
    }
    let mut media = match report? {
        parse::Report::Media(media) => media.check()?,
        parse::Report::Refused { code } => {
            let head = &head[..head.len().min(MAX_HEAD_BYTES)];
            return Err(match refusal::classify(code, head) {
                // The index comes last, and is what is missing.
                Failure::Corrupt { .. } if structure.is_cut => Failure::Truncated,
                failure => failure,
            });
        }
    };
    if structure.ends_in_zeros {
        return Err(Failure::Corrupt {
            reason: "a part of it was never written, as after an interrupted download or copy",
        });
    }
    let mut demuxing = Demuxing { decoding_times_only: media.decoding_times_only(), ..Demuxing::default() };
    if media.undescribed() > 0 || media.lacks(&structure.changes.later) {
        let patient = Demuxing { begins_late: true, ..demuxing };
        if let Ok(parse::Report::Media(later)) = self::report(tools, input, patient).await
            && (later.undescribed() < media.undescribed() || later.stream_count() > media.stream_count())
        {
            (media, demuxing) = (later.check()?, patient);
        }
    }
    let index = structure.index.as_ref().and_then(|index| index.packets(media.stream_count()));
    let is_plain = index.is_some();
    let packets = if let Some(packets) = index {
        packets
    } else {
        let streams = media.readable_streams();
        let packets = packets::read(tools, input, source.bytes(), &streams, demuxing).await?;
        demuxing.begins_earlier = media.begins_earlier(&packets);
        if demuxing.begins_earlier > 0 {
            packets::read(tools, input, source.bytes(), &streams, demuxing).await?
        } else {
            packets
        }
    };
    let in_mp4 = media.is_mp4();
    let changes = media.changed(&structure.changes.formats);
    let mut probe = parse::probe(media, source.object_bytes(), packets)?;
    (probe.demuxing, probe.changes, probe.zeros_after) = (demuxing, changes, structure.zeros_after);
    let is_short =
        |exact: f64| probe.measured_duration.is_some_and(|measured| measured < exact - SAME_DURATION);
    probe.is_truncated = structure.is_cut || structure.exact_seconds.is_some_and(is_short);
    if let Some(video) = &mut probe.video {
        check_density(probe.packets.get(&video.index))?;
        first_frame::inspect(tools, input, video, in_mp4).await?;
        // All pictures of a track in a plain MP4 have one size.
        if let Some(found) = probe.packets.get(&video.index).filter(|_| !is_plain) {
            let length = found.end - found.first_pts.unwrap_or(0.0);
            sizes::inspect(tools, input, demuxing, source.bytes(), length, video).await?;
        }
    }
    Ok(probe)
}

/// Bytes of the file's beginning that are enough to recognize a format.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Pictures per second, on average over the whole video, beyond which a file only costs time: high-speed cameras record up to 1,000.
const MAX_AVERAGE_RATE: f64 = 1_000.0;

/// Refuses a video with more pictures than any camera makes in its time.
fn check_density(video: Option<&StreamPackets>) -> Result<(), Failure> {
    let Some(video) = video else { return Ok(()) };
    let seconds = (video.end - video.first_pts.unwrap_or(0.0)).max(1.0);
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    if video.packets as f64 > MAX_AVERAGE_RATE * seconds {
        return Err(Failure::TooComplex { resource: Resource::Frames });
    }
    Ok(())
}

/// Memory for reading a file without decoding it. FFmpeg keeps the index of a file, of up to 64 MB in a film of 12 hours, in
/// several times its size.
const MEMORY: u64 = 1024 * 1024 * 1024;

/// Bounds on reading a file within `time`.
fn bounds(time: Duration) -> Bounds {
    Bounds { processor_time: time, memory: MEMORY, file: 0 }
}

/// Bounds on decoding some pictures of a file within `time`.
fn decoding(time: Duration) -> Bounds {
    Bounds { processor_time: time, memory: crate::transcode::memory(input::MAX_PIXELS), file: 0 }
}

async fn report(tools: &Tools, input: &Input, demuxing: Demuxing) -> Result<parse::Report, Failure> {
    let mut args: Vec<String> = ["-hide_banner", "-v", "error"].map(str::to_owned).into();
    args.extend(input::guards());
    if demuxing.begins_late {
        args.extend(demuxing.args());
    }
    args.extend(
        ["-show_error", "-show_entries", parse::ENTRIES, "-of", "json", "-i", input.url()].map(str::to_owned),
    );
    let invocation = tools.ffprobe(args, input, bounds(TIMEOUT));
    let finished = match invocation.capture(TIMEOUT, MAX_OUTPUT_BYTES).await {
        Ok(finished) => finished,
        Err(CaptureError::Machine(error)) => return Err(error.into()),
        Err(CaptureError::Timeout { limit, .. }) => return Err(Failure::Timeout(limit)),
        Err(CaptureError::TooMuchOutput { .. }) => {
            return Err(Failure::TooComplex { resource: Resource::Output });
        }
    };
    tracing::debug!(stderr = finished.stderr, "ffprobe ended");
    let of_file = match fault(finished.end, &finished.stderr) {
        Fault::File(failure @ Failure::TooComplex { .. }) => return Err(failure),
        Fault::File(failure) => Some(failure),
        Fault::Unknown => None,
    };
    // For some files ffprobe ends within its report, for example where a picture is larger than it may decode, or where a decoder refuses
    // the stream's headers.
    parse::parse_report(&finished.stdout, oversized_frame(&finished.stderr)).ok_or_else(|| {
        of_file.unwrap_or_else(|| {
            if finished.end.status.code() == Some(1) && finished.stdout.starts_with(b"{") {
                return Failure::Corrupt { reason: "the headers of its sound or pictures cannot be read" };
            }
            let diagnosis = format!("an ffprobe that reports in JSON (it ended with {})", finished.end);
            Failure::Machine(MachineError::Incapable(diagnosis))
        })
    })
}
