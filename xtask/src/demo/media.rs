//! What ffprobe and ffmpeg say about a file or a URL, every frame decoded.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{capture, last_lines};

/// A file or a stream: its tracks and its length.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) seconds: f64,
    pub(super) tracks: Vec<Track>,
    /// The variants of a master playlist, in its order. Empty for a file.
    pub(super) variants: Vec<Variant>,
}

/// One track, decoded to its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Track {
    pub(super) kind: Kind,
    pub(super) codec: String,
    /// 0 for audio.
    pub(super) width: u32,
    pub(super) height: u32,
    /// Frames per second on average; 0 for audio.
    pub(super) rate: f64,
    /// Frames that were decoded, not those that are announced.
    pub(super) frames: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

/// What a player may choose from a master playlist.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// Bits per second, as the playlist states.
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

/// Decodes everything with ffprobe, counting frames. Any complaint of a decoder is an error.
pub(super) fn probe(place: &str) -> Result<Media> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-count_frames", "-show_format", "-show_streams", "-show_programs"]);
    command.args(["-of", "json", "-i", place]);
    let said = without_complaint(command, "ffprobe")?;
    parse(&said)
}

/// Plays everything with ffmpeg, to nowhere. Any complaint is an error.
pub(super) fn play(place: &str) -> Result<()> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-xerror", "-i", place, "-map", "0:v?", "-map", "0:a?"]);
    command.args(["-f", "null", "-"]);
    without_complaint(command, "ffmpeg").map(drop)
}

fn without_complaint(command: Command, name: &str) -> Result<String> {
    let output = capture(command)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !complaint.trim().is_empty() {
        bail!("{name} ended with {} and said: {}", output.status, last_lines(&complaint, 10));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed something that is not UTF-8"))
}

/// ffprobe's JSON, as far as it is read here.
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
    /// 1 for a cover image inside an audio file, which is no video.
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
    let probed: Probed = serde_json::from_str(json).context("ffprobe's answer")?;
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

/// `30000/1001` as a number; ffprobe writes `0/0` for what has no rate.
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
    fn the_length_of_the_video_track_counts_where_it_is_known() {
        let json = r#"{"streams": [{"index": 0, "codec_type": "video", "duration": "5.28"}], "format": {"duration": "5.3"}}"#;
        assert!((parse(json).unwrap().seconds - 5.28).abs() < f64::EPSILON);
    }

    #[test]
    fn a_cover_image_is_no_video() {
        let json = r#"{"streams": [{"index": 0, "codec_type": "video", "disposition": {"attached_pic": 1}}], "format": {}}"#;
        assert!(parse(json).unwrap().video().is_none());
    }

    #[test]
    fn a_rate_without_a_meaning_is_none() {
        assert_eq!(ratio("25/1"), Some(25.0));
        assert_eq!((ratio("0/0"), ratio("x")), (None, None));
    }

    #[test]
    fn what_is_not_media_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.mp4");
        fs::write(&file, "not a film").unwrap();
        let error = probe(&file.to_string_lossy()).unwrap_err().to_string();
        assert!(error.starts_with("ffprobe ended with") && error.contains("Invalid data"), "{error}");
    }
}
