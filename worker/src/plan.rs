//! Decides what to encode from the probe alone, before anything is encoded.

mod color;
mod poster;
mod timeline;

use streamio_events::job::MediaLimits;

pub use self::color::Conversion;
pub use self::poster::PosterWindow;
use self::timeline::Timeline;
use crate::capabilities::Capabilities;
use crate::failure::Failure;
use crate::frame_rate::FrameRate;
use crate::ladder::{Rung, ladder};
use crate::probe::gaps::Gap;
use crate::probe::input::Demuxing;
use crate::probe::jumps::Jump;
use crate::probe::{AudioStream, Probe, VideoStream};

/// Seconds between forced key frames, and therefore the duration of a segment.
pub const SEGMENT_SECONDS: u32 = 4;

/// Further audio tracks are left out.
const MAX_AUDIO_TRACKS: usize = 16;

/// Seconds of a packet of the AAC encoder at 48 kHz.
const PACKET_SECONDS: f64 = 1024.0 / 48_000.0;

/// Everything to encode in one pass over the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Duration of the source in seconds; `None` if it is not known before the end.
    pub duration: Option<f64>,
    /// The video stream to encode.
    pub video: Option<VideoPlan>,
    /// The audio tracks, default track first.
    pub audio: Vec<AudioPlan>,
    /// What keeps sound at its time.
    pub sound_time: SoundTime,
    /// How to read the source.
    pub demuxing: Demuxing,
}

/// What fills the beginning and gaps of sound with silence. FFmpeg rebuilds the graph of filters where the sound's layout or rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundTime {
    /// FFmpeg's input, with `-async`: once for the whole encode, before any filter.
    Input,
    /// Each graph, from the time of its first sound. For tracks that begin with the file.
    Graphs,
    /// One graph for the whole encode, from time zero. If FFmpeg rebuilds it, it inserts silence as long as the time so far.
    OneGraph,
}

/// How to encode the video stream.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoPlan {
    /// FFmpeg's index of the stream.
    pub index: u32,
    /// The constant frame rate of all rungs.
    pub frame_rate: FrameRate,
    /// Clockwise degrees by which to rotate all pictures: 90, 180 or 270. `None` to leave rotation to FFmpeg's decoding.
    pub rotation: Option<u16>,
    /// Threads of the decoder, where FFmpeg could start too many.
    pub decoder_threads: Option<u32>,
    /// Whether to deinterlace.
    pub deinterlace: bool,
    /// The colour conversion.
    pub conversion: Conversion,
    /// The sizes, best first.
    pub rungs: Vec<Rung>,
    /// Seconds by which the decoder returns pictures late.
    pub delay: f64,
    /// Number of frames of the output; the last picture is held until then. `None`: until the last picture.
    pub frames: Option<u64>,
    /// Where to look for the poster, one after the other.
    pub poster: Vec<PosterWindow>,
    /// Pictures whose times are wrong.
    pub jumps: Vec<Jump>,
}

/// How to encode an audio track: AAC-LC, stereo, 48 kHz.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioPlan {
    /// FFmpeg's index of the stream.
    pub index: u32,
    /// Folder name of the rendition, such as `audio-1`.
    pub name: String,
    /// Display name: the track's title, its language or its number. Unique per track.
    pub title: String,
    /// Language tag, valid in a playlist.
    pub language: Option<String>,
    /// Number of channels of the source.
    pub channels: u32,
    /// Seconds of silence after the end of the track.
    pub silence: f64,
    /// When silence ends that follows the sound wherever its decoding ends, because its format changes in mid-stream.
    pub silent_until: Option<f64>,
    /// The long gaps in the track, in the order of time.
    pub gaps: Vec<Gap>,
    /// Sound whose times are wrong.
    pub jumps: Vec<Jump>,
    /// Whether FFmpeg's decoder returns a frame with the old rate where the rate changes.
    pub mislabels_rates: bool,
}

/// The most channels that FFmpeg can convert.
const MAX_CHANNELS: u32 = 64;
/// The rate of a single picture that is held for longer than [`SHORT_STILL`]. Repeated frames cost processor time.
const STILL_RATE: FrameRate = FrameRate::new(10, 1).unwrap();
/// Seconds.
const SHORT_STILL: f64 = 1.0;
/// Frames that every video may have, and more for each of its pictures. A video of a few pictures that are hours apart gets a lower
/// rate, so that its encode takes no longer than others of its size; one picture in two seconds is enough for the usual rates.
const FREE_FRAMES: f64 = 36_000.0;
const FRAMES_PER_PICTURE: f64 = 120.0;

/// Decides what to encode, or returns why the source is refused.
pub fn plan(probe: &Probe, limits: &MediaLimits, capabilities: &Capabilities) -> Result<Plan, Failure> {
    #[allow(clippy::cast_precision_loss, reason = "a limit in seconds")]
    if probe.duration.is_some_and(|duration| duration > limits.max_duration_seconds as f64) {
        return Err(Failure::TooLong { limit_seconds: limits.max_duration_seconds });
    }
    for codec in probe.video.iter().map(|video| &video.codec) {
        if !capabilities.decodes(codec) {
            return Err(Failure::UnsupportedCodec { codec: codec.clone() });
        }
    }
    let (mut decodable, unknown): (Vec<_>, Vec<_>) = probe
        .audio
        .iter()
        .partition(|audio| capabilities.decodes(&audio.codec) && audio.channels <= MAX_CHANNELS);
    // A file is refused only if none of its tracks can be decoded.
    if let (true, Some(audio)) = (decodable.is_empty(), unknown.first()) {
        let codec = match audio.channels {
            0..=MAX_CHANNELS => audio.codec.clone(),
            channels => format!("{} with {channels} channels", audio.codec),
        };
        return Err(Failure::UnsupportedCodec { codec });
    }
    decodable.truncate(MAX_AUDIO_TRACKS);
    let used = probe.video.iter().map(|video| video.index).chain(decodable.iter().map(|audio| audio.index));
    let timeline = Timeline::of(probe, used);
    let audio = audio_plans(&decodable, &timeline);
    // With `-async`, FFmpeg would fill a long gap, or the time up to a wrong one, with one block of silence, before any filter.
    let begins_with_file = |track: &AudioPlan| timeline.first(track.index) < PACKET_SECONDS;
    let sound_time = if audio.iter().any(|track| !track.gaps.is_empty() || !track.jumps.is_empty()) {
        SoundTime::OneGraph
    } else if audio.iter().any(|track| track.mislabels_rates) && audio.iter().all(begins_with_file) {
        SoundTime::Graphs
    } else if capabilities.keeps_audio_time() {
        SoundTime::Input
    } else {
        SoundTime::OneGraph
    };
    Ok(Plan {
        duration: timeline.end.or(probe.duration),
        video: probe.video.as_ref().map(|video| video_plan(video, &timeline, capabilities)),
        audio,
        sound_time,
        demuxing: probe.demuxing,
    })
}

fn video_plan(video: &VideoStream, timeline: &Timeline<'_>, capabilities: &Capabilities) -> VideoPlan {
    let frame_rate = frame_rate(video, timeline);
    let end = timeline.packets(video.index).map_or(video.duration, |packets| Some(packets.end));
    VideoPlan {
        index: video.index,
        frame_rate,
        rotation: video.rotation_persists.then_some(video.rotation),
        decoder_threads: decoder_threads(video.coded),
        deinterlace: video.interlaced,
        conversion: Conversion::of(&video.color, capabilities),
        rungs: ladder(video.display.0, video.display.1),
        delay: video.delay,
        frames: timeline.frames(video.index, frame_rate),
        poster: poster::windows(timeline.first(video.index), end),
        jumps: timeline.jumps(video.index),
    }
}

/// FFmpeg starts one thread for each core, up to 16, each of which holds a picture. Beyond 4K these are gigabytes.
fn decoder_threads(coded: (u32, u32)) -> Option<u32> {
    const FOUR_K: u64 = 4096 * 2304;
    (u64::from(coded.0) * u64::from(coded.1) > FOUR_K).then_some(4)
}

fn frame_rate(video: &VideoStream, timeline: &Timeline<'_>) -> FrameRate {
    let packets = timeline.packets(video.index);
    let densest = packets.map(|packets| match packets.densest_second {
        // Some interlaced video has a packet per field.
        fields if video.interlaced => fields.div_ceil(2),
        frames => frames,
    });
    let rate = FrameRate::to_encode(video.nominal_rate, video.average_rate, densest);
    let (Some(packets), Some(end)) = (packets, timeline.end) else { return rate };
    let is_still = packets.packets == 1 && end > SHORT_STILL;
    rate.min(affordable_rate(packets.packets, end)).min(if is_still { STILL_RATE } else { rate })
}

/// The highest rate for `pictures` within `seconds`; at least one frame a second.
fn affordable_rate(pictures: u64, seconds: f64) -> FrameRate {
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let rate = (FREE_FRAMES + FRAMES_PER_PICTURE * pictures as f64) / seconds;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; casts saturate")]
    FrameRate::whole((rate as u32).max(1))
}

fn audio_plans(tracks: &[&AudioStream], timeline: &Timeline<'_>) -> Vec<AudioPlan> {
    let mut plans: Vec<AudioPlan> = Vec::new();
    for (number, track) in (1..).zip(tracks) {
        let preferred = track.title.clone().or_else(|| track.language.clone());
        let title = match preferred {
            // RFC 8216, section 4.3.4.1.1: members of a group must have different names.
            Some(title) if plans.iter().all(|plan| plan.title != title) => title,
            Some(title) => format!("{title} ({number})"),
            None => format!("Audio {number}"),
        };
        plans.push(AudioPlan {
            index: track.index,
            name: format!("audio-{number}"),
            title,
            language: track.language.clone(),
            channels: track.channels,
            silence: timeline.silence_after(track.index),
            silent_until: timeline.end.filter(|_| timeline.changes(track.index)),
            gaps: timeline.gaps(track.index),
            jumps: timeline.jumps(track.index),
            mislabels_rates: matches!(track.codec.as_str(), "mp1" | "mp2" | "mp3"),
        });
    }
    plans
}

#[cfg(test)]
mod tests;
