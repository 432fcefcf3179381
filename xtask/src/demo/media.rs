//! Decodes a file or a URL with ffprobe and ffmpeg.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{capture, last_lines};

/// The tracks and the duration of a file or a stream.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) seconds: f64,
    pub(super) tracks: Vec<Track>,
    /// The variants of a master playlist, in order. Empty for a file.
    pub(super) variants: Vec<Variant>,
}

/// A completely decoded track.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Track {
    pub(super) kind: Kind,
    pub(super) codec: String,
    /// 0 for audio.
    pub(super) width: u32,
    pub(super) height: u32,
    /// The average frame rate, in frames per second; 0 for audio.
    pub(super) rate: f64,
    /// The number of decoded frames.
    pub(super) frames: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

/// A variant of a master playlist.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// The bandwidth in the playlist, in bits per second.
    pub(super) bandwidth: u64,
    pub(super) tracks: Vec<Track>,
}

impl Media {
    pub(super) fn video(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == Kind::Video)
    }

    pub(super) fn audio(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == Kind::Audio)
    }
}

/// Decodes a file or URL with ffprobe, and counts frames. Fails if ffprobe prints an error.
pub(super) fn probe(input: &str) -> Result<Media> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-count_frames", "-show_format", "-show_streams", "-show_programs"]);
    command.args(["-of", "json", "-i", input]);
    let output = run_without_errors(command, "ffprobe")?;
    parse(&output)
}

/// Decodes a file or URL with ffmpeg. Fails if ffmpeg prints an error.
pub(super) fn play(input: &str) -> Result<()> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-xerror", "-i", input, "-map", "0:v?", "-map", "0:a?"]);
    command.args(["-f", "null", "-"]);
    run_without_errors(command, "ffmpeg").map(drop)
}

/// Runs a command and returns its output. Fails if it prints anything to standard error.
fn run_without_errors(command: Command, name: &str) -> Result<String> {
    let output = capture(command)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !errors.trim().is_empty() {
        bail!("{name} ended with {} and printed: {}", output.status, last_lines(&errors, 10));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed something that is not UTF-8"))
}

/// The members of ffprobe's JSON that are read.
#[derive(Deserialize)]
struct Probed {
    format: Format,
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    programs: Vec<Program>,
}

#[derive(Deserialize)]
struct Format {
    duration: Option<String>,
}

#[derive(Deserialize)]
struct Program {
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    streams: Vec<Stream>,
}

#[derive(Default, Deserialize)]
struct Tags {
    variant_bitrate: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    index: usize,
    codec_type: Option<String>,
    codec_name: Option<String>,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    avg_frame_rate: Option<String>,
    nb_read_frames: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    disposition: Disposition,
}

#[derive(Default, Deserialize)]
struct Disposition {
    /// 1 for the cover image of an audio file, which does not count as video.
    #[serde(default)]
    attached_pic: u8,
}

impl Stream {
    fn track(&self) -> Option<Track> {
        let kind = match self.codec_type.as_deref() {
            Some("video") if self.disposition.attached_pic == 0 => Kind::Video,
            Some("audio") => Kind::Audio,
            _ => return None,
        };
        Some(Track {
            kind,
            codec: self.codec_name.clone().unwrap_or_else(|| "unknown".into()),
            width: self.width,
            height: self.height,
            rate: self.avg_frame_rate.as_deref().and_then(ratio).unwrap_or(0.0),
            frames: self.nb_read_frames.as_deref().and_then(|frames| frames.parse().ok()).unwrap_or(0),
        })
    }
}

fn parse(json: &str) -> Result<Media> {
    let probed: Probed = serde_json::from_str(json).context("could not parse the output of ffprobe")?;
    let video_seconds = probed
        .streams
        .iter()
        .filter(|stream| stream.track().is_some_and(|track| track.kind == Kind::Video))
        .find_map(|stream| stream.duration.as_deref().and_then(seconds));
    let container_seconds = probed.format.duration.as_deref().and_then(seconds);
    let find =
        |index| probed.streams.iter().find(|stream: &&Stream| stream.index == index).and_then(Stream::track);
    let variants = probed.programs.iter().map(|program| Variant {
        bandwidth: program.tags.variant_bitrate.as_deref().and_then(|rate| rate.parse().ok()).unwrap_or(0),
        tracks: program.streams.iter().filter_map(|stream| find(stream.index)).collect(),
    });
    Ok(Media {
        seconds: video_seconds.or(container_seconds).unwrap_or(0.0),
        tracks: probed.streams.iter().filter_map(Stream::track).collect(),
        variants: variants.collect(),
    })
}

/// Parses a rate such as `30000/1001`. ffprobe writes `0/0` for tracks without a rate.
fn ratio(text: &str) -> Option<f64> {
    let (over, under) = text.split_once('/')?;
    let (over, under): (f64, f64) = (over.parse().ok()?, under.parse().ok()?);
    (under != 0.0).then(|| over / under)
}

fn seconds(text: &str) -> Option<f64> {
    text.parse().ok().filter(|seconds: &f64| *seconds > 0.0)
}

#[cfg(test)]
mod tests {
    use super::{Kind, parse, probe, ratio};
    use std::fs;

    const MASTER: &str = r#"{
      "programs": [
        {"program_id": 0, "tags": {"variant_bitrate": "900000"}, "streams": [{"index": 0}, {"index": 2}]},
        {"program_id": 1, "tags": {"variant_bitrate": "400000"}, "streams": [{"index": 1}, {"index": 2}]}],
      "streams": [
        {"index": 0, "codec_type": "video", "codec_name": "h264", "width": 1280, "height": 720,
         "avg_frame_rate": "25/1", "nb_read_frames": "132"},
        {"index": 1, "codec_type": "video", "codec_name": "h264", "width": 640, "height": 360,
         "avg_frame_rate": "30000/1001", "nb_read_frames": "131"},
        {"index": 2, "codec_type": "audio", "codec_name": "aac", "avg_frame_rate": "0/0", "nb_read_frames": "249"}],
      "format": {"duration": "5.320000"}}"#;

    #[test]
    fn a_master_playlist_is_read_as_variants_that_share_their_audio() {
        let media = parse(MASTER).unwrap();
        assert!((media.seconds - 5.32).abs() < f64::EPSILON);
        let shape: Vec<_> = media
            .variants
            .iter()
            .map(|variant| {
                (
                    variant.bandwidth,
                    variant.tracks[0].height,
                    variant.tracks[0].frames,
                    variant.tracks[1].kind,
                )
            })
            .collect();
        assert_eq!(shape, [(900_000, 720, 132, Kind::Audio), (400_000, 360, 131, Kind::Audio)]);
    }

    #[test]
    fn the_duration_is_that_of_the_video_track_if_it_is_known() {
        let json = r#"{"streams": [{"index": 0, "codec_type": "video", "duration": "5.28"}], "format": {"duration": "5.3"}}"#;
        assert!((parse(json).unwrap().seconds - 5.28).abs() < f64::EPSILON);
    }

    #[test]
    fn a_cover_image_is_not_a_video() {
        let json = r#"{"streams": [{"index": 0, "codec_type": "video", "disposition": {"attached_pic": 1}}], "format": {}}"#;
        assert!(parse(json).unwrap().video().is_none());
    }

    #[test]
    fn an_undefined_rate_is_none() {
        assert_eq!(ratio("25/1"), Some(25.0));
        assert_eq!((ratio("0/0"), ratio("x")), (None, None));
    }

    #[test]
    fn a_file_that_is_not_media_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.mp4");
        fs::write(&file, "not a film").unwrap();
        let error = probe(&file.to_string_lossy()).unwrap_err().to_string();
        assert!(error.starts_with("ffprobe ended with") && error.contains("Invalid data"), "{error}");
    }
}
