//! The master playlist (RFC 8216, section 4.3.4).

use m3u8_rs::{AlternativeMedia, AlternativeMediaType, MasterPlaylist, Resolution, VariantStream};
use streamio_events::media::Rendition;

use super::Bandwidth;
use crate::frame_rate::FrameRate;
use crate::ladder::Rung;

/// An encoded video rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoRendition {
    /// Its size.
    pub rung: Rung,
    /// Its frame rate.
    pub frame_rate: FrameRate,
    /// RFC 6381 codec, such as `avc1.64001f`.
    pub codec: String,
    /// Measured bit rates, without audio.
    pub bandwidth: Bandwidth,
}

/// An encoded audio rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioRendition {
    /// Its folder name.
    pub name: String,
    /// Display name.
    pub title: String,
    /// Language tag.
    pub language: Option<String>,
    /// RFC 6381 codec, such as `mp4a.40.2`.
    pub codec: String,
    /// Measured bit rates.
    pub bandwidth: Bandwidth,
}

/// All renditions of a source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Master {
    /// Video renditions, best first.
    pub video: Vec<VideoRendition>,
    /// Audio renditions, default track first.
    pub audio: Vec<AudioRendition>,
}

const AUDIO_GROUP: &str = "audio";

impl Master {
    /// The text of the master playlist. `folder` is the path from the playlist to the renditions' folders, empty or with a
    /// trailing slash; `playlist` is the file name of the media playlist in each.
    pub fn to_text(&self, folder: &str, playlist: &str) -> String {
        let uri = |name: &str| format!("{folder}{name}/{playlist}");
        let variants = self.variants();
        let master = MasterPlaylist {
            // fMP4 (EXT-X-MAP) needs at least version 6; FFmpeg's media playlists have 7.
            version: Some(7),
            independent_segments: true,
            alternatives: if self.has_audio_group() {
                let tracks = self.audio.iter().enumerate();
                tracks.map(|(position, track)| alternative(track, position == 0, uri(&track.name))).collect()
            } else {
                Vec::new()
            },
            variants: variants
                .into_iter()
                .map(|variant| VariantStream {
                    uri: uri(&variant.name),
                    bandwidth: variant.bandwidth.peak,
                    average_bandwidth: Some(variant.bandwidth.average),
                    codecs: Some(variant.codecs),
                    resolution: variant.video.map(|video| Resolution {
                        width: video.rung.width.into(),
                        height: video.rung.height.into(),
                    }),
                    // RFC 8216, section 4.3.4.2: rounded to three decimal places.
                    frame_rate: variant
                        .video
                        .map(|video| (video.frame_rate.per_second() * 1000.0).round() / 1000.0),
                    audio: self.has_audio_group().then(|| AUDIO_GROUP.to_owned()),
                    ..VariantStream::default()
                })
                .collect(),
            ..MasterPlaylist::default()
        };
        let mut text = Vec::new();
        master.write_to(&mut text).expect("writing to memory does not fail");
        String::from_utf8(text).expect("a playlist is UTF-8")
    }

    /// The renditions as recorded in events: one per variant, best first.
    pub fn renditions(&self) -> Vec<Rendition> {
        let variants = self.variants().into_iter();
        variants
            .map(|variant| Rendition {
                width: variant.video.map(|video| video.rung.width),
                height: variant.video.map(|video| video.rung.height),
                bandwidth: variant.bandwidth.peak,
                codecs: variant.codecs,
            })
            .collect()
    }

    /// Whether audio is in a separate group: if there is video, or more than one track.
    fn has_audio_group(&self) -> bool {
        !self.audio.is_empty() && (!self.video.is_empty() || self.audio.len() > 1)
    }

    fn variants(&self) -> Vec<Variant<'_>> {
        // A player may combine any track with any rung: count the track with the highest rate.
        let audio = self.audio.iter().map(|track| track.bandwidth).reduce(Bandwidth::max);
        let audio_codec = self.audio.first().map(|track| track.codec.as_str());
        if self.video.is_empty() {
            let tracks = self.audio.first().into_iter();
            return tracks
                .map(|track| Variant {
                    name: track.name.clone(),
                    video: None,
                    bandwidth: audio.unwrap_or_default(),
                    codecs: track.codec.clone(),
                })
                .collect();
        }
        let rungs = self.video.iter();
        rungs
            .map(|video| Variant {
                name: video.rung.name(),
                video: Some(video),
                bandwidth: audio.map_or(video.bandwidth, |audio| video.bandwidth.with(audio)),
                codecs: [Some(video.codec.as_str()), audio_codec]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(","),
            })
            .collect()
    }
}

struct Variant<'a> {
    name: String,
    video: Option<&'a VideoRendition>,
    bandwidth: Bandwidth,
    codecs: String,
}

fn alternative(track: &AudioRendition, default: bool, uri: String) -> AlternativeMedia {
    AlternativeMedia {
        media_type: AlternativeMediaType::Audio,
        uri: Some(uri),
        group_id: AUDIO_GROUP.to_owned(),
        language: track.language.clone(),
        name: track.title.clone(),
        default,
        autoselect: true,
        channels: Some("2".to_owned()),
        ..AlternativeMedia::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(width: u32, height: u32, peak: u64) -> VideoRendition {
        VideoRendition {
            rung: Rung { width, height },
            frame_rate: FrameRate::new(30_000, 1001).unwrap(),
            codec: "avc1.64001f".into(),
            bandwidth: Bandwidth { peak, average: peak / 2 },
        }
    }

    fn audio(number: u32, title: &str, language: Option<&str>) -> AudioRendition {
        AudioRendition {
            name: format!("audio-{number}"),
            title: title.into(),
            language: language.map(str::to_owned),
            codec: "mp4a.40.2".into(),
            bandwidth: Bandwidth { peak: 130_000 + u64::from(number), average: 128_000 },
        }
    }

    #[test]
    fn a_video_with_two_audio_tracks() {
        let master = Master {
            video: vec![video(1280, 720, 2_000_000), video(640, 360, 700_000)],
            audio: vec![audio(1, "English", Some("eng")), audio(2, "Audio 2", None)],
        };
        insta::assert_snapshot!(master.to_text("g1-a2/", "index.m3u8"), @r#"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-INDEPENDENT-SEGMENTS
        #EXT-X-MEDIA:TYPE=AUDIO,URI="g1-a2/audio-1/index.m3u8",GROUP-ID="audio",LANGUAGE="eng",NAME="English",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2"
        #EXT-X-MEDIA:TYPE=AUDIO,URI="g1-a2/audio-2/index.m3u8",GROUP-ID="audio",NAME="Audio 2",AUTOSELECT=YES,CHANNELS="2"
        #EXT-X-STREAM-INF:BANDWIDTH=2130002,AVERAGE-BANDWIDTH=1128000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.97,AUDIO="audio"
        g1-a2/720p/index.m3u8
        #EXT-X-STREAM-INF:BANDWIDTH=830002,AVERAGE-BANDWIDTH=478000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=29.97,AUDIO="audio"
        g1-a2/360p/index.m3u8
        "#);
        assert_eq!(master.renditions()[1].bandwidth, 830_002);
    }

    #[test]
    fn a_video_without_audio_has_no_audio_group() {
        let master = Master { video: vec![video(320, 180, 300_000)], audio: vec![] };
        insta::assert_snapshot!(master.to_text("", "index.m3u8"), @r#"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-INDEPENDENT-SEGMENTS
        #EXT-X-STREAM-INF:BANDWIDTH=300000,AVERAGE-BANDWIDTH=150000,CODECS="avc1.64001f",RESOLUTION=320x180,FRAME-RATE=29.97
        180p/index.m3u8
        "#);
    }

    #[test]
    fn an_audio_only_source_is_a_variant() {
        let one = Master { video: vec![], audio: vec![audio(1, "Audio 1", None)] };
        insta::assert_snapshot!(one.to_text("g1-a1/", "index.m3u8"), @r#"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-INDEPENDENT-SEGMENTS
        #EXT-X-STREAM-INF:BANDWIDTH=130001,AVERAGE-BANDWIDTH=128000,CODECS="mp4a.40.2"
        g1-a1/audio-1/index.m3u8
        "#);
        let two = Master { audio: vec![audio(1, "A", None), audio(2, "B", None)], ..one };
        let text = two.to_text("", "index.m3u8");
        assert_eq!(
            (text.matches("EXT-X-MEDIA:").count(), text.matches("AUDIO=\"audio\"").count()),
            (2, 1),
            "{text}"
        );
        assert_eq!((two.renditions()[0].width, two.renditions()[0].codecs.as_str()), (None, "mp4a.40.2"));
    }
}
