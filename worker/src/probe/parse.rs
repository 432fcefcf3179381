//! Parses and validates ffprobe's JSON. Its contents come from an untrusted file.

mod tags;

use serde::Deserialize;

use super::input::Demuxing;
use super::input::MAX_PIXELS;
use super::packets::Packets;
use super::structure;
use super::{AudioStream, Color, FormatChange, GoesOn, Probe, VideoStream};
use crate::failure::Failure;
use crate::frame_rate::FrameRate;

/// Value of `-show_entries`. Limited to the fields in use, because a file may contain megabytes of tags.
pub(super) const ENTRIES: &str = "format=format_name,duration,probe_score:format_tags=major_brand:\
    stream=index,id,codec_type,codec_name,width,height,sample_aspect_ratio,r_frame_rate,avg_frame_rate,field_order,\
    pix_fmt,has_b_frames,color_transfer,color_primaries,color_space,channels,sample_rate,duration,nb_frames:\
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

/// Major brands of image formats that use the MP4 container (HEIF and AVIF; ISO/IEC 23008-12, AVIF 1.1).
const IMAGE_BRANDS: [&str; 10] =
    ["avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"];

/// At or below this score FFmpeg guessed a format without evidence (`AVPROBE_SCORE_RETRY` is 25), so the file is not media.
const MAX_SCORE_OF_NOISE: i64 = 5;

/// Streams of a file. A broadcast has a few dozen; FFmpeg keeps a decoder and buffers for each.
const MAX_STREAMS: usize = 256;

impl Media {
    /// Refuses what is not media at all.
    pub(super) fn check(self) -> Result<Self, Failure> {
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
    pub(super) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Whether any of the streams with the numbers `ids` is missing.
    pub(super) fn lacks(&self, ids: &[u16]) -> bool {
        ids.iter().any(|id| self.streams.iter().all(|stream| stream.number() != Some(*id)))
    }

    /// The streams that change their format, with FFmpeg's indexes.
    pub(super) fn changed(&self, changes: &[structure::FormatChange]) -> Vec<FormatChange> {
        let index =
            |pid| self.streams.iter().find(|stream| stream.number() == Some(pid)).map(|stream| stream.index);
        let of = |change: &structure::FormatChange| {
            let goes_on = change.replaced_by.map_or(GoesOn::InItself, |pid| GoesOn::InAnother(index(pid)));
            Some(FormatChange { index: index(change.pid)?, goes_on, seconds: change.seconds })
        };
        changes.iter().filter_map(of).collect()
    }

    /// Whether the container is MP4 or `QuickTime`.
    pub(super) fn is_mp4(&self) -> bool {
        self.format.name.starts_with("mov,")
    }

    /// Whether the container states decoding times only.
    pub(super) fn decoding_times_only(&self) -> bool {
        self.format.name == "avi"
    }

    /// The number of streams in a known codec of which nothing else is known, because no packet of them was read.
    pub(super) fn undescribed(&self) -> usize {
        let is_undescribed = |stream: &&Stream| match stream.codec_type.as_deref() {
            Some("video") => stream.pixels() == 0,
            Some("audio") => stream.channels == 0,
            _ => false,
        };
        self.streams.iter().filter(|stream| stream.codec_name.is_some()).filter(is_undescribed).count()
    }

    /// FFmpeg's indexes of the streams whose packets it can copy: pictures and sound in a known codec.
    pub(super) fn readable_streams(&self) -> Vec<u32> {
        let is_readable = |stream: &&Stream| {
            matches!(stream.codec_type.as_deref(), Some("video" | "audio")) && stream.codec_name.is_some()
        };
        self.streams.iter().filter(is_readable).map(|stream| stream.index).collect()
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
        demuxing: Demuxing { decoding_times_only, begins_late: false },
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
