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

/// Everything to encode in one pass over the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Duration of the source in seconds; `None` if it is not known before the end.
    pub duration: Option<f64>,
    /// The video stream to encode.
    pub video: Option<VideoPlan>,
    /// The audio tracks, default track first.
    pub audio: Vec<AudioPlan>,
    /// Whether FFmpeg is to keep sound in time with `-async`.
    pub keeps_audio_time: bool,
    /// How to read the source.
    pub demuxing: Demuxing,
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
    // FFmpeg would fill a long gap, or the time up to a wrong one, with one block of silence, before any filter.
    let keeps_audio_time = capabilities.keeps_audio_time()
        && audio.iter().all(|track| track.gaps.is_empty() && track.jumps.is_empty());
    Ok(Plan {
        duration: timeline.end.or(probe.duration),
        video: probe.video.as_ref().map(|video| video_plan(video, &timeline, capabilities)),
        audio,
        keeps_audio_time,
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
        });
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Color;
    use crate::probe::packets::{Packets, StreamPackets};

    fn video() -> VideoStream {
        VideoStream {
            nominal_rate: FrameRate::new(25, 1),
            average_rate: FrameRate::new(25, 1),
            color: Color { pixel_format: "yuv420p".into(), ..Color::default() },
            duration: Some(5.0),
            ..VideoStream::of_size("h264", 1280, 720)
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
        let packets = Packets::new();
        let (duration, measured_duration) = (Some(5.0), None);
        Probe {
            duration,
            measured_duration,
            is_truncated: false,
            bytes: 1,
            video,
            audio,
            packets,
            demuxing: Demuxing::default(),
            other_pictures: vec![],
            changes: vec![],
            zeros_after: 0,
        }
    }

    fn packets(first: f64, end: f64, densest_second: u32) -> StreamPackets {
        StreamPackets {
            packets: 100,
            first_pts: Some(first),
            end,
            bytes: 1000,
            densest_second,
            ..StreamPackets::default()
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
    fn tracks_that_end_early_are_padded_to_the_end_of_the_longest() {
        let mut source =
            probe(Some(video()), vec![audio("aac", None), AudioStream { index: 2, ..audio("aac", None) }]);
        source.packets =
            [(0, packets(0.0, 2.0, 25)), (1, packets(-0.02, 3.5, 47)), (2, packets(1.0, 3.0, 47))].into();
        let plan = plan_for(&source).unwrap();
        assert_eq!((plan.duration, plan.video.as_ref().unwrap().frames), (Some(3.5), Some(88)));
        assert_eq!(plan.audio.iter().map(|audio| audio.silence).collect::<Vec<_>>(), [0.0, 0.5]);
        source.packets.clear();
        let plan = plan_for(&source).unwrap();
        assert_eq!((plan.video.unwrap().frames, plan.audio[1].silence), (None, 0.0), "unknown");
    }

    #[test]
    fn long_gaps_in_sound_are_filled_by_filters() {
        let mut source =
            probe(Some(video()), vec![audio("aac", None), AudioStream { index: 2, ..audio("aac", None) }]);
        source.packets = [(0, packets(0.0, 200.0, 25)), (1, packets(0.0, 200.0, 47))].into();
        assert!(plan_for(&source).unwrap().keeps_audio_time);
        source.packets.insert(2, packets(61.0, 200.0, 47));
        let plan = plan_for(&source).unwrap();
        let gaps: Vec<_> = plan.audio.iter().map(|track| track.gaps.as_slice()).collect();
        assert_eq!(gaps, [&[][..], &[Gap { start: 0.0, end: 61.0 }]]);
        assert!(!plan.keeps_audio_time);
    }

    #[test]
    fn a_track_that_is_not_used_does_not_lengthen_the_others() {
        let mut source =
            probe(Some(video()), vec![audio("aac", None), AudioStream { index: 2, ..audio("ac4", None) }]);
        source.packets =
            [(0, packets(0.0, 2.0, 25)), (1, packets(0.0, 2.0, 47)), (2, packets(0.0, 9.0, 47))].into();
        assert_eq!(plan_for(&source).unwrap().duration, Some(2.0));
    }

    #[test]
    fn one_picture_with_music_has_a_low_frame_rate() {
        let mut source = probe(Some(video()), vec![audio("aac", None)]);
        source.packets =
            [(0, StreamPackets { packets: 1, ..packets(0.0, 0.04, 1) }), (1, packets(0.0, 12.0, 47))].into();
        let video = plan_for(&source).unwrap().video.unwrap();
        assert_eq!((video.frame_rate.to_string(), video.frames), ("10".to_owned(), Some(120)));
    }

    #[test]
    fn a_few_pictures_that_are_hours_apart_have_a_low_frame_rate() {
        let rate = |pictures, end| {
            let mut source = probe(Some(video()), vec![]);
            source.packets = [(0, StreamPackets { packets: pictures, ..packets(0.0, end, 26) })].into();
            plan_for(&source).unwrap().video.unwrap().frame_rate.to_string()
        };
        assert_eq!(rate(30, 43_000.0), "1");
        assert_eq!(rate(4_320, 43_200.0), "12", "slides of ten seconds");
        assert_eq!((rate(30, 1_440.0), rate(43_200 / 4, 43_200.0)), ("25".to_owned(), "25".to_owned()));
    }

    #[test]
    fn only_pictures_beyond_4k_have_a_bound_on_threads() {
        assert_eq!((decoder_threads((4096, 2160)), decoder_threads((7680, 4320))), (None, Some(4)));
    }

    #[test]
    fn a_packet_per_field_does_not_double_the_frame_rate() {
        let mut source = probe(Some(VideoStream { interlaced: true, ..video() }), vec![]);
        source.packets = [(0, packets(0.0, 2.0, 50))].into();
        assert_eq!(plan_for(&source).unwrap().video.unwrap().frame_rate.to_string(), "25");
    }

    #[test]
    fn a_track_with_more_channels_than_can_be_converted_is_left_out() {
        let many = AudioStream { channels: 65, ..audio("aac", None) };
        let plan = plan_for(&probe(Some(video()), vec![audio("aac", None), many.clone()])).unwrap();
        assert_eq!(plan.audio.len(), 1);
        let only = plan_for(&probe(None, vec![many]));
        assert!(matches!(only, Err(Failure::UnsupportedCodec { codec }) if codec == "aac with 65 channels"));
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
