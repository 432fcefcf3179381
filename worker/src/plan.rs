//! Decides what to encode from the probe alone, before anything is encoded.

mod color;

use std::time::Duration;

use streamio_events::job::MediaLimits;

pub use self::color::Conversion;
use crate::capabilities::Capabilities;
use crate::failure::Failure;
use crate::frame_rate::FrameRate;
use crate::ladder::{Rung, ladder};
use crate::probe::{AudioStream, Probe, VideoStream};

/// Seconds between forced key frames, and therefore the duration of a segment.
pub const SEGMENT_SECONDS: u32 = 4;

/// Further audio tracks are left out.
const MAX_AUDIO_TRACKS: usize = 16;

/// Everything to encode in one pass over the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Duration of the source in seconds; `None` if it is not known before the end.
    pub duration: Option<f64>,
    /// The video stream to encode.
    pub video: Option<VideoPlan>,
    /// The audio tracks, default track first.
    pub audio: Vec<AudioPlan>,
}

/// How to encode the video stream.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoPlan {
    /// FFmpeg's index of the stream.
    pub index: u32,
    /// The constant frame rate of all rungs.
    pub frame_rate: FrameRate,
    /// Whether to deinterlace.
    pub deinterlace: bool,
    /// The colour conversion.
    pub conversion: Conversion,
    /// The sizes, best first.
    pub rungs: Vec<Rung>,
    /// The poster is chosen from this much of the source's beginning.
    pub poster_window: Duration,
}

/// How to encode an audio track: AAC-LC, stereo, 48 kHz.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioPlan {
    /// FFmpeg's index of the stream.
    pub index: u32,
    /// Folder name of the rendition, such as `audio-1`.
    pub name: String,
    /// Display name: the track's title, its language or its number. Unique per track.
    pub title: String,
    /// Language tag, valid in a playlist.
    pub language: Option<String>,
    /// Whether to take only the first two channels, because FFmpeg cannot downmix more than eight.
    pub first_two_channels: bool,
}

/// Upper bound of [`VideoPlan::poster_window`].
const MAX_POSTER_WINDOW: Duration = Duration::from_secs(24);

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
    let (decodable, unknown): (Vec<_>, Vec<_>) =
        probe.audio.iter().partition(|audio| capabilities.decodes(&audio.codec));
    // A file is refused only if none of its tracks can be decoded.
    if let (true, Some(audio)) = (decodable.is_empty(), unknown.first()) {
        return Err(Failure::UnsupportedCodec { codec: audio.codec.clone() });
    }
    Ok(Plan {
        duration: probe.duration,
        video: probe.video.as_ref().map(|video| video_plan(video, probe.duration, capabilities)),
        audio: audio_plans(&decodable),
    })
}

fn video_plan(video: &VideoStream, duration: Option<f64>, capabilities: &Capabilities) -> VideoPlan {
    let window = duration.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    VideoPlan {
        index: video.index,
        frame_rate: FrameRate::to_encode(video.nominal_rate, video.average_rate),
        deinterlace: video.interlaced,
        conversion: Conversion::of(&video.color, capabilities),
        rungs: ladder(video.display.0, video.display.1),
        poster_window: window.unwrap_or(MAX_POSTER_WINDOW).min(MAX_POSTER_WINDOW),
    }
}

fn audio_plans(tracks: &[&AudioStream]) -> Vec<AudioPlan> {
    let mut plans: Vec<AudioPlan> = Vec::new();
    for (number, track) in (1..).zip(tracks.iter().take(MAX_AUDIO_TRACKS)) {
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
            first_two_channels: track.channels > 8,
        });
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Color;
    use crate::probe::packets::Packets;

    fn video() -> VideoStream {
        VideoStream {
            index: 0,
            codec: "h264".into(),
            coded: (1280, 720),
            display: (1280, 720),
            rotation: 0,
            nominal_rate: FrameRate::new(25, 1),
            average_rate: FrameRate::new(25, 1),
            interlaced: false,
            color: Color { pixel_format: "yuv420p".into(), ..Color::default() },
            duration: Some(5.0),
        }
    }

    fn audio(codec: &str, title: Option<&str>) -> AudioStream {
        AudioStream {
            index: 1,
            codec: codec.into(),
            channels: 2,
            language: Some("eng".into()),
            title: title.map(str::to_owned),
            duration: Some(5.0),
        }
    }

    fn probe(video: Option<VideoStream>, audio: Vec<AudioStream>) -> Probe {
        Probe {
            duration: Some(5.0),
            measured_duration: None,
            is_truncated: false,
            bytes: 1,
            video,
            audio,
            packets: Packets::new(),
        }
    }

    fn plan_for(probe: &Probe) -> Result<Plan, Failure> {
        plan(probe, &MediaLimits::default(), &Capabilities::full())
    }

    #[test]
    fn a_source_over_the_duration_limit_is_refused() {
        let mut long = probe(Some(video()), vec![]);
        long.duration = Some(43_200.0);
        assert!(plan_for(&long).is_ok());
        long.duration = Some(43_200.5);
        assert!(matches!(plan_for(&long), Err(Failure::TooLong { limit_seconds: 43_200 })));
    }

    #[test]
    fn a_codec_without_a_decoder_is_refused_and_named() {
        let mut unknown = video();
        unknown.codec = "vvc".into();
        assert!(
            matches!(plan_for(&probe(Some(unknown), vec![])), Err(Failure::UnsupportedCodec { codec }) if codec == "vvc")
        );
        let only = probe(Some(video()), vec![audio("ac4", None)]);
        assert!(matches!(plan_for(&only), Err(Failure::UnsupportedCodec { codec }) if codec == "ac4"));
    }

    #[test]
    fn a_further_track_without_a_decoder_is_left_out() {
        let plan = plan_for(&probe(Some(video()), vec![audio("aac", None), audio("ac4", None)])).unwrap();
        assert_eq!(plan.audio.len(), 1);
    }

    #[test]
    fn audio_tracks_have_unique_names() {
        let tracks = vec![
            audio("aac", Some("Film")),
            audio("aac", Some("Film")),
            audio("aac", None),
            audio("aac", None),
        ];
        let plan = plan_for(&probe(None, tracks)).unwrap();
        let names: Vec<_> =
            plan.audio.iter().map(|audio| (audio.name.as_str(), audio.title.as_str())).collect();
        assert_eq!(
            names,
            [("audio-1", "Film"), ("audio-2", "Film (2)"), ("audio-3", "eng"), ("audio-4", "eng (4)")]
        );
    }
}
