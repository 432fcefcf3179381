//! What the source is: ffprobe's view of it, checked and typed.

pub mod input;
mod parse;
mod sniff;

use std::time::Duration;

use streamio_events::media::MediaSource;

use crate::failure::{Failure, MachineError};
use crate::frame_rate::FrameRate;
use crate::process::{CaptureError, Invocation};

/// The source's container, streams and length.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Length in seconds; `None` where the container does not say.
    pub duration: Option<f64>,
    /// Length in seconds that the container states for what is used of it, rather than one that FFmpeg guessed from the bit
    /// rate or the last timestamp.
    pub stated_duration: Option<f64>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The main video stream; cover art is none.
    pub video: Option<VideoStream>,
    /// The audio tracks, the one to be played by default first.
    pub audio: Vec<AudioStream>,
}

/// A video stream.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoStream {
    /// FFmpeg's number of the stream.
    pub index: u32,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Size of a coded frame in pixels.
    pub coded: (u32, u32),
    /// Width and height as displayed: square pixels, rotation applied.
    pub display: (u32, u32),
    /// Degrees clockwise that the metadata asks for: 0, 90, 180 or 270. FFmpeg applies it when it decodes.
    pub rotation: u16,
    /// The least rate that all timestamps fit into, as ffprobe guesses.
    pub nominal_rate: Option<FrameRate>,
    /// Frames over length.
    pub average_rate: Option<FrameRate>,
    /// Whether frames hold two fields.
    pub interlaced: bool,
    /// How colours are coded.
    pub color: Color,
    /// Length in seconds, where the container says.
    pub duration: Option<f64>,
}

/// How colours are coded; FFmpeg's names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Color {
    /// Such as `yuv420p10le`.
    pub pixel_format: String,
    /// Such as `smpte2084`.
    pub transfer: Option<String>,
    /// Such as `bt2020`.
    pub primaries: Option<String>,
    /// The matrix, such as `bt2020nc`.
    pub matrix: Option<String>,
}

/// An audio track.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioStream {
    /// FFmpeg's number of the stream.
    pub index: u32,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// How many channels.
    pub channels: u32,
    /// Language as the container states it, in lower case: two or three letters, perhaps with subtags.
    pub language: Option<String>,
    /// A name for people.
    pub title: Option<String>,
    /// Length in seconds, where the container says.
    pub duration: Option<f64>,
}

impl Probe {
    /// As it goes into events. `encoded` is the length of what was made, used where the container does not say.
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
                // Thousandths: the exact fraction has no short decimal form.
                .map(|rate| (rate * 1000.0).round() / 1000.0),
            video_codec: video.map(|video| video.codec.clone()),
            audio_codec: self.audio.first().map(|audio| audio.codec.clone()),
            bytes: self.bytes,
        }
    }

    /// Whether what was made is so much shorter than the container states that the file must have been cut off: by more
    /// than a tenth and a second. FFmpeg itself takes the end of the data for the end of the film.
    pub fn is_cut_off(&self, encoded: Duration) -> bool {
        self.stated_duration.is_some_and(|stated| encoded.as_secs_f64() < stated * 0.9 - 1.0)
    }
}

/// Long enough for a file whose index lies at its end, over a slow network.
const TIME: Duration = Duration::from_secs(90);
/// ffprobe is asked for a few fields; only a file with thousands of streams has more.
const OUTPUT_BYTES: u64 = 4 * 1024 * 1024;

/// Probes the source of `bytes` bytes at `url`. `head` holds its first bytes, by which a refused file is named.
///
/// The file is not trusted: [`input::guards`] keeps ffprobe from opening whatever the file names.
pub async fn probe(ffprobe: &str, url: &str, bytes: u64, head: &[u8]) -> Result<Probe, Failure> {
    let mut args: Vec<String> = ["-hide_banner", "-v", "error"].map(str::to_owned).into();
    args.extend(input::guards());
    args.extend(
        ["-show_error", "-show_entries", parse::ENTRIES, "-of", "json", "-i", url].map(str::to_owned),
    );
    let invocation = Invocation { program: ffprobe.to_owned(), args, directory: std::env::temp_dir() };
    let finished = match invocation.capture(TIME, OUTPUT_BYTES).await {
        Ok(finished) => finished,
        Err(CaptureError::Machine(error)) => return Err(error.into()),
        Err(CaptureError::Timeout { limit, .. }) => return Err(Failure::Timeout(limit)),
        Err(CaptureError::TooMuchOutput { .. }) => {
            return Err(Failure::Corrupt { reason: "it declares an absurd number of streams" });
        }
    };
    tracing::debug!(stderr = finished.stderr, "ffprobe ended");
    match parse::report(&finished.stdout) {
        Some(parse::Report::Media(media)) => parse::probe(media, bytes),
        Some(parse::Report::Refused { code }) => Err(sniff::name_refusal(code, head)),
        None => Err(Failure::Machine(MachineError::Incapable(format!(
            "an ffprobe that reports in JSON (it ended with {})",
            finished.status
        )))),
    }
}

/// Whether any frame of the first packets of stream `index` can be decoded: what tells a damaged source from an encoder
/// that failed.
pub async fn decodes(ffprobe: &str, url: &str, index: u32) -> bool {
    let mut args: Vec<String> = ["-hide_banner", "-v", "error"].map(str::to_owned).into();
    args.extend(input::guards());
    args.extend(["-select_streams".to_owned(), index.to_string()]);
    args.extend(
        ["-read_intervals", "%+#100", "-count_frames", "-show_entries", "stream=nb_read_frames"]
            .map(str::to_owned),
    );
    args.extend(["-of", "csv=p=0", "-i", url].map(str::to_owned));
    let invocation = Invocation { program: ffprobe.to_owned(), args, directory: std::env::temp_dir() };
    match invocation.capture(TIME, OUTPUT_BYTES).await {
        Ok(finished) => {
            // One line for the stream and one for each program that it belongs to.
            let text = String::from_utf8_lossy(&finished.stdout).into_owned();
            text.lines()
                .any(|line| line.trim().trim_end_matches(',').parse().is_ok_and(|frames: u64| frames > 0))
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the source could not be checked");
            true
        }
    }
}
