//! What to make of a source: decided from the probe alone, before anything is encoded.

mod color;

use std::time::Duration;

use streamio_events::job::MediaLimits;

pub use self::color::Conversion;
use crate::capabilities::Capabilities;
use crate::failure::Failure;
use crate::frame_rate::FrameRate;
use crate::ladder::{Rung, ladder};
use crate::probe::{AudioStream, Probe, VideoStream};

/// Seconds between forced key frames, and so the length of a segment.
pub const SEGMENT_SECONDS: u32 = 4;

/// A file with more tracks than this is not for people to choose from.
const MOST_AUDIO_TRACKS: usize = 16;

/// All that is to be made in one pass over the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Length of the source in seconds; `None` where it is not known before the end.
    pub duration: Option<f64>,
    /// The picture.
    pub video: Option<VideoPlan>,
    /// The sound, the track to be played by default first.
    pub audio: Vec<AudioPlan>,
}

/// The picture.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoPlan {
    /// FFmpeg's number of the stream.
    pub index: u32,
    /// The constant rate of all rungs.
    pub frame_rate: FrameRate,
    /// Whether fields become frames.
    pub deinterlace: bool,
    /// From the source's colours to 8-bit BT.709 or what the source has.
    pub conversion: Conversion,
    /// The sizes, best first.
    pub rungs: Vec<Rung>,
    /// From how many seconds at the source's beginning the poster is chosen.
    pub poster_window: Duration,
}

/// A track of sound, made into AAC-LC stereo at 48 kHz.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioPlan {
    /// FFmpeg's number of the stream.
    pub index: u32,
    /// The folder of the rendition, such as `audio-1`.
    pub name: String,
    /// For people: the track's title, or its language, or its number. Different for each track.
    pub title: String,
    /// A language tag that may stand in a playlist.
    pub language: Option<String>,
    /// Whether only the first two channels are taken, because FFmpeg knows no way to mix so many.
    pub first_two_channels: bool,
}

/// The poster is chosen among frames of at most this long a beginning.
const POSTER_WINDOW: Duration = Duration::from_secs(24);

/// Decides what to make, or refuses the source by name.
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
    // A second track in an exotic codec is no reason to refuse a file whose first one plays.
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
        poster_window: window.unwrap_or(POSTER_WINDOW).min(POSTER_WINDOW),
    }
}

fn audio_plans(tracks: &[&AudioStream]) -> Vec<AudioPlan> {
    let mut plans: Vec<AudioPlan> = Vec::new();
    for (number, track) in (1..).zip(tracks.iter().take(MOST_AUDIO_TRACKS)) {
        let wanted = track.title.clone().or_else(|| track.language.clone());
        let title = match wanted {
            // RFC 8216, section 4.3.4.1.1: members of a group have different names.
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
        Probe { duration: Some(5.0), stated_duration: None, bytes: 1, video, audio }
    }

    fn planned(probe: &Probe) -> Result<Plan, Failure> {
        plan(probe, &MediaLimits::default(), &Capabilities::full())
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_read() {
        let mut long = probe(Some(video()), vec![]);
        long.duration = Some(43_200.0);
        assert!(planned(&long).is_ok());
        long.duration = Some(43_200.5);
        assert!(matches!(planned(&long), Err(Failure::TooLong { limit_seconds: 43_200 })));
    }

    #[test]
    fn a_codec_without_a_decoder_is_named() {
        let mut unknown = video();
        unknown.codec = "vvc".into();
        assert!(
            matches!(planned(&probe(Some(unknown), vec![])), Err(Failure::UnsupportedCodec { codec }) if codec == "vvc")
        );
        let only = probe(Some(video()), vec![audio("ac4", None)]);
        assert!(matches!(planned(&only), Err(Failure::UnsupportedCodec { codec }) if codec == "ac4"));
    }

    #[test]
    fn a_further_track_without_a_decoder_is_left_out() {
        let plan = planned(&probe(Some(video()), vec![audio("aac", None), audio("ac4", None)])).unwrap();
        assert_eq!(plan.audio.len(), 1);
    }

    #[test]
    fn tracks_have_different_names() {
        let tracks = vec![
            audio("aac", Some("Film")),
            audio("aac", Some("Film")),
            audio("aac", None),
            audio("aac", None),
        ];
        let plan = planned(&probe(None, tracks)).unwrap();
        let names: Vec<_> =
            plan.audio.iter().map(|audio| (audio.name.as_str(), audio.title.as_str())).collect();
        assert_eq!(
            names,
            [("audio-1", "Film"), ("audio-2", "Film (2)"), ("audio-3", "eng"), ("audio-4", "eng (4)")]
        );
    }
}
