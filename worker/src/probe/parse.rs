//! Parses and validates ffprobe's JSON. Its contents come from an untrusted file.

mod media;
mod tags;

use serde::Deserialize;

use super::input::Demuxing;
use super::input::MAX_PIXELS;
use super::packets::Packets;
use super::{AudioStream, Color, Probe, VideoStream};
use crate::failure::Failure;
use crate::frame_rate::FrameRate;

/// Value of `-show_entries`. Limited to the fields in use, because a file may contain megabytes of tags.
pub(super) const ENTRIES: &str = "format=format_name,duration,probe_score:format_tags=major_brand:\
    stream=index,id,codec_type,codec_name,width,height,sample_aspect_ratio,r_frame_rate,avg_frame_rate,field_order,\
    pix_fmt,has_b_frames,color_transfer,color_primaries,color_space,channels,sample_rate,start_time,duration,nb_frames:\
    stream_disposition=default,attached_pic,timed_thumbnails:stream_tags=language,title,rotate:\
    stream_side_data=rotation:program=program_id:program_stream=index";

/// ffprobe's output.
pub(super) enum Report {
    /// ffprobe opened the file.
    Media(Box<Media>),
    /// ffprobe refused the file.
    Refused {
        /// FFmpeg's error code.
        code: i64,
    },
}

#[derive(Deserialize)]
struct Raw {
    error: Option<RawError>,
    format: Option<Format>,
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    programs: Vec<Program>,
}

/// One of several films that a transport stream carries at the same time.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Program {
    streams: Vec<ProgramStream>,
}

#[derive(Deserialize)]
struct ProgramStream {
    index: u32,
}

impl Program {
    fn has(&self, index: u32) -> bool {
        self.streams.iter().any(|stream| stream.index == index)
    }
}

#[derive(Deserialize)]
struct RawError {
    code: i64,
}

/// A file that ffprobe opened.
pub(super) struct Media {
    format: Format,
    streams: Vec<Stream>,
    programs: Vec<Program>,
    /// Width and height of a frame that ffprobe did not decode because it is too large.
    oversized: Option<(u32, u32)>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Format {
    #[serde(rename = "format_name")]
    name: String,
    duration: Option<String>,
    probe_score: i64,
    tags: Tags,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Stream {
    index: u32,
    /// The container's own number of the stream, in hexadecimal.
    id: Option<String>,
    codec_type: Option<String>,
    codec_name: Option<String>,
    width: u32,
    height: u32,
    sample_aspect_ratio: Option<String>,
    r_frame_rate: Option<String>,
    avg_frame_rate: Option<String>,
    field_order: Option<String>,
    pix_fmt: Option<String>,
    has_b_frames: u32,
    color_transfer: Option<String>,
    color_primaries: Option<String>,
    color_space: Option<String>,
    channels: u32,
    sample_rate: Option<String>,
    start_time: Option<String>,
    duration: Option<String>,
    nb_frames: Option<String>,
    disposition: Disposition,
    tags: Tags,
    side_data_list: Vec<SideData>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Disposition {
    default: u8,
    attached_pic: u8,
    timed_thumbnails: u8,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tags {
    major_brand: Option<String>,
    language: Option<String>,
    title: Option<String>,
    rotate: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SideData {
    rotation: Option<f64>,
}

/// Parses ffprobe's output; `None` if it is not a report. `oversized` is the size of a frame that ffprobe called too large.
pub(super) fn parse_report(json: &[u8], oversized: Option<(u32, u32)>) -> Option<Report> {
    let raw: Raw = serde_json::from_slice(json).ok()?;
    match (raw.error, raw.format) {
        (Some(error), _) => Some(Report::Refused { code: error.code }),
        (None, Some(format)) => {
            let Raw { streams, programs, .. } = raw;
            Some(Report::Media(Box::new(Media { format, streams, programs, oversized })))
        }
        (None, None) => None,
    }
}

/// Validates ffprobe's report on a file of `bytes` bytes that holds `packets`.
pub(super) fn probe(media: Media, bytes: u64, packets: Packets) -> Result<Probe, Failure> {
    let decoding_times_only = media.decoding_times_only();
    let Media { format, streams, programs, oversized } = media;
    let is = |kind: &'static str| move |stream: &&Stream| stream.codec_type.as_deref() == Some(kind);
    let is_still_image =
        |stream: &&Stream| stream.disposition.attached_pic != 0 || stream.disposition.timed_thumbnails != 0;
    // A track that is declared but has no packets is as good as absent: a muted microphone, a camera that never started.
    let is_empty = |stream: &&Stream| packets.get(&stream.index).is_some_and(|found| found.packets == 0);
    // The default stream, or else the largest; the first among equals.
    let pictures =
        || streams.iter().filter(is("video")).filter(|stream| !is_still_image(stream) && !is_empty(stream));
    let main =
        pictures().min_by_key(|stream| (stream.disposition.default == 0, std::cmp::Reverse(stream.pixels())));
    let video = main.map(|stream| video_stream(stream, decoding_times_only, oversized)).transpose()?;
    let is_other = |stream: &&Stream| main.is_some_and(|main| main.index != stream.index);
    let other_pictures = pictures().filter(is_other).map(|stream| stream.index).collect();
    let mut tracks: Vec<_> = streams
        .iter()
        .filter(is("audio"))
        .filter(|stream| stream.has_samples() && !is_empty(stream))
        .collect();
    tracks.sort_by_key(|stream| stream.disposition.default == 0);
    // Sound of another program belongs to another film. Without a picture, the program of the first track counts.
    if let Some(first) = main.or(tracks.first().copied())
        && let Some(program) = programs.iter().find(|program| program.has(first.index))
    {
        tracks
            .retain(|track| program.has(track.index) || !programs.iter().any(|other| other.has(track.index)));
    }
    let audio: Vec<_> = tracks.into_iter().map(audio_stream).collect();
    if video.is_none() && audio.is_empty() {
        return Err(Failure::NoStreams);
    }
    let used = video.iter().map(|video| video.index).chain(audio.iter().map(|audio| audio.index));
    let measured = used
        .filter_map(|index| packets.get(&index))
        .map(|found| found.end)
        .reduce(f64::max)
        .filter(|end| *end > 0.0);
    let longest = streams.iter().filter_map(|stream| seconds(stream.duration.as_deref())).reduce(f64::max);
    Ok(Probe {
        duration: measured.or_else(|| seconds(format.duration.as_deref())).or(longest),
        measured_duration: measured,
        bytes,
        video,
        audio,
        packets,
        is_truncated: false,
        demuxing: Demuxing { decoding_times_only, ..Demuxing::default() },
        other_pictures,
        changes: Vec::new(),
        zeros_after: 0,
    })
}

impl Stream {
    fn number(&self) -> Option<u16> {
        u16::from_str_radix(self.id.as_deref()?.strip_prefix("0x")?, 16).ok()
    }

    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Whether an audio track has samples. FFmpeg would delay all outputs while waiting for the first sample of an empty one.
    fn has_samples(&self) -> bool {
        self.channels > 0
            && self.sample_rate.as_deref().is_some_and(|rate| rate != "0")
            && self.nb_frames.as_deref() != Some("0")
    }
}

fn video_stream(
    stream: &Stream,
    decoding_times_only: bool,
    oversized: Option<(u32, u32)>,
) -> Result<VideoStream, Failure> {
    let (width, height) = (stream.width, stream.height);
    if width == 0 || height == 0 {
        return Err(match (&stream.codec_name, oversized) {
            (None, _) => unknown_codec(),
            // Only the pictures themselves state the size, as in Motion JPEG and PNG.
            (Some(_), Some((width, height))) => Failure::FrameTooLarge { width, height },
            (Some(_), None) => Failure::Corrupt { reason: "no frame of its video can be decoded" },
        });
    }
    if stream.pixels() > MAX_PIXELS {
        return Err(Failure::FrameTooLarge { width, height });
    }
    let rotation = rotation(stream);
    let average_rate = stream.avg_frame_rate.as_deref().and_then(FrameRate::parse);
    let delay = average_rate.filter(|_| decoding_times_only);
    let square = (square_width(width, stream.sample_aspect_ratio.as_deref()), height);
    Ok(VideoStream {
        index: stream.index,
        codec: stream.codec_name.clone().ok_or_else(unknown_codec)?,
        coded: (width, height),
        display: if rotation.is_multiple_of(180) { square } else { (square.1, square.0) },
        rotation,
        rotation_persists: false,
        nominal_rate: stream.r_frame_rate.as_deref().and_then(FrameRate::parse),
        average_rate,
        interlaced: matches!(stream.field_order.as_deref(), Some("tt" | "bb" | "tb" | "bt")),
        color: Color {
            pixel_format: stream.pix_fmt.clone().unwrap_or_default(),
            transfer: stream.color_transfer.clone(),
            primaries: stream.color_primaries.clone(),
            matrix: stream.color_space.clone(),
            peak: None,
        },
        duration: seconds(stream.duration.as_deref()),
        delay: delay.map_or(0.0, |rate| f64::from(stream.has_b_frames.min(16)) / rate.per_second()),
    })
}

fn unknown_codec() -> Failure {
    Failure::UnsupportedCodec { codec: "unknown".to_owned() }
}

fn audio_stream(stream: &Stream) -> AudioStream {
    AudioStream {
        index: stream.index,
        codec: stream.codec_name.clone().unwrap_or_else(|| "unknown".to_owned()),
        channels: stream.channels,
        language: stream.tags.language.as_deref().and_then(tags::language),
        title: stream.tags.title.as_deref().and_then(tags::title),
        duration: seconds(stream.duration.as_deref()),
    }
}

fn seconds(text: Option<&str>) -> Option<f64> {
    text?.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0)
}

/// Clockwise rotation in degrees. ffprobe states the display matrix's rotation counterclockwise.
fn rotation(stream: &Stream) -> u16 {
    let by_matrix =
        stream.side_data_list.iter().find_map(|side_data| side_data.rotation).map(|degrees| -degrees);
    quarter_turns(by_matrix.or_else(|| stream.tags.rotate.as_deref()?.parse().ok()).unwrap_or(0.0))
}

/// The rotation that FFmpeg applies for `degrees` clockwise: 0, 90, 180 or 270.
pub(super) fn quarter_turns(degrees: f64) -> u16 {
    // FFmpeg rotates by a quarter turn if the angle is within one degree of it; otherwise the frame size stays the same.
    [0u16, 90, 180, 270]
        .into_iter()
        .find(|quarter| {
            let off = (degrees - f64::from(*quarter)).rem_euclid(360.0);
            off.min(360.0 - off) < 1.0
        })
        .unwrap_or(0)
}

/// The width in square pixels of `width` pixels with the given aspect ratio. An implausible or unknown ratio counts as 1:1.
pub(super) fn square_width(width: u32, sample_aspect_ratio: Option<&str>) -> u32 {
    let shape = sample_aspect_ratio
        .and_then(|text| text.split_once(':'))
        .and_then(|(x, y)| Some(f64::from(x.parse::<u32>().ok()?) / f64::from(y.parse::<u32>().ok()?)))
        .filter(|shape| (0.1..=10.0).contains(shape))
        .unwrap_or(1.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 10 times a u32; casts saturate"
    )]
    let square = (f64::from(width) * shape).round() as u32;
    square.max(1)
}

#[cfg(test)]
mod tests;
