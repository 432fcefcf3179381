//! Probes the source: its container and streams with ffprobe, its packets with FFmpeg. Validates the result.

mod density;
mod first_frame;
pub mod input;
pub mod packets;
mod parse;
mod refusal;

use std::time::Duration;

use packets::Packets;
use streamio_events::media::MediaSource;

use crate::failure::{Failure, MachineError};
use crate::frame_rate::FrameRate;
use crate::process::{CaptureError, Invocation};
use crate::transcode::Tools;

/// The source's container, streams and duration.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Duration in seconds; `None` if the container does not state it.
    pub duration: Option<f64>,
    /// Duration in seconds that the container states for the streams in use. Excludes durations that FFmpeg estimated from
    /// the bit rate or the last timestamp.
    pub stated_duration: Option<f64>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The main video stream. Cover art does not count.
    pub video: Option<VideoStream>,
    /// The audio tracks, default track first.
    pub audio: Vec<AudioStream>,
    /// What the file holds of each stream. Streams without an entry are unknown.
    pub packets: Packets,
    /// Whether the container states decoding times only (AVI).
    pub decoding_times_only: bool,
}

/// A video stream.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoStream {
    /// FFmpeg's index of the stream.
    pub index: u32,
    /// Codec name as FFmpeg spells it.
    pub codec: String,
    /// Width and height of a coded frame in pixels.
    pub coded: (u32, u32),
    /// Width and height as displayed: with square pixels, rotation applied.
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
    /// The source as recorded in events. `encoded` is the duration of the output, used if the container states none.
    pub fn to_media_source(&self, encoded: Duration) -> MediaSource {
        let video = self.video.as_ref();
        MediaSource {
            duration_seconds: self.duration.unwrap_or(encoded.as_secs_f64()),
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
        }
    }

    /// Whether the output is shorter than the container states by more than 10 % plus one second, which means that the file
    /// was truncated. FFmpeg treats the end of the data as the end of the video and reports no error.
    pub fn is_truncated(&self, encoded: Duration) -> bool {
        self.stated_duration.is_some_and(|stated| encoded.as_secs_f64() < stated * 0.9 - 1.0)
    }
}

impl VideoStream {
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

/// Probes the source of `bytes` bytes at `url`. `head` is its beginning, used to classify a file that ffprobe refuses.
///
/// The file is untrusted: [`input::guards`] prevents ffprobe from opening other files or hosts that it names.
pub async fn probe(tools: &Tools, url: &str, bytes: u64, head: &[u8]) -> Result<Probe, Failure> {
    let media = report(&tools.ffprobe, url, head).await?;
    let streams = media.readable_streams();
    let packets = packets::read(&tools.ffmpeg, url, bytes, &streams, media.decoding_times_only()).await?;
    let in_mp4 = media.is_mp4();
    let mut probe = parse::probe(media, bytes, packets)?;
    if let Some(video) = &mut probe.video {
        first_frame::inspect(tools, url, video, in_mp4).await?;
    }
    Ok(probe)
}

async fn report(ffprobe: &str, url: &str, head: &[u8]) -> Result<parse::Media, Failure> {
    let mut args: Vec<String> = ["-hide_banner", "-v", "error"].map(str::to_owned).into();
    args.extend(input::guards());
    args.extend(
        ["-show_error", "-show_entries", parse::ENTRIES, "-of", "json", "-i", url].map(str::to_owned),
    );
    let invocation = Invocation { program: ffprobe.to_owned(), args, directory: std::env::temp_dir() };
    let finished = match invocation.capture(TIMEOUT, MAX_OUTPUT_BYTES).await {
        Ok(finished) => finished,
        Err(CaptureError::Machine(error)) => return Err(error.into()),
        Err(CaptureError::Timeout { limit, .. }) => return Err(Failure::Timeout(limit)),
        Err(CaptureError::TooMuchOutput { .. }) => {
            return Err(Failure::Corrupt { reason: "it declares too many streams" });
        }
    };
    tracing::debug!(stderr = finished.stderr, "ffprobe ended");
    match parse::parse_report(&finished.stdout) {
        Some(parse::Report::Media(media)) => media.check(),
        Some(parse::Report::Refused { code }) => Err(refusal::classify(code, head)),
        None => Err(Failure::Machine(MachineError::Incapable(format!(
            "an ffprobe that reports in JSON (it ended with {})",
            finished.status
        )))),
    }
}

/// Whether any frame in the first 100 packets of stream `index` can be decoded. Distinguishes a damaged source from a failed
/// encoder. `true` if ffprobe cannot be run.
pub async fn is_decodable(ffprobe: &str, url: &str, index: u32) -> bool {
    let mut args: Vec<String> = ["-hide_banner", "-v", "error"].map(str::to_owned).into();
    args.extend(input::guards());
    args.extend(["-select_streams".to_owned(), index.to_string()]);
    args.extend(
        ["-read_intervals", "%+#100", "-count_frames", "-show_entries", "stream=nb_read_frames"]
            .map(str::to_owned),
    );
    args.extend(["-of", "csv=p=0", "-i", url].map(str::to_owned));
    let invocation = Invocation { program: ffprobe.to_owned(), args, directory: std::env::temp_dir() };
    match invocation.capture(TIMEOUT, MAX_OUTPUT_BYTES).await {
        Ok(finished) => {
            // One line for the stream and one for each program that contains it.
            let text = String::from_utf8_lossy(&finished.stdout).into_owned();
            text.lines()
                .any(|line| line.trim().trim_end_matches(',').parse().is_ok_and(|frames: u64| frames > 0))
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot check whether the source is decodable"
            );
            true
        }
    }
}
