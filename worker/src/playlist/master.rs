//! The master playlist (RFC 8216, section 4.3.4).

use m3u8_rs::{AlternativeMedia, AlternativeMediaType, MasterPlaylist, Resolution, VariantStream};
use streamio_events::media::Rendition;

use super::Bandwidth;
use crate::frame_rate::FrameRate;
use crate::ladder::Rung;

/// A rung as it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoRendition {
    /// Its size.
    pub rung: Rung,
    /// Its frames a second.
    pub frame_rate: FrameRate,
    /// RFC 6381, such as `avc1.64001f`.
    pub codec: String,
    /// As measured, without sound.
    pub bandwidth: Bandwidth,
}

/// A track as it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioRendition {
    /// Its folder.
    pub name: String,
    /// For people.
    pub title: String,
    /// A language tag.
    pub language: Option<String>,
    /// RFC 6381, such as `mp4a.40.2`.
    pub codec: String,
    /// As measured.
    pub bandwidth: Bandwidth,
}

/// All that was made of a source: rungs best first, the default track first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Master {
    /// The rungs.
    pub video: Vec<VideoRendition>,
    /// The tracks.
    pub audio: Vec<AudioRendition>,
}

const AUDIO_GROUP: &str = "audio";

impl Master {
    /// The playlist's text. `folder` (with a slash at its end) leads from the playlist to the renditions' folders; `playlist`
    /// is the name of the media playlist in each.
    pub fn to_text(&self, folder: &str, playlist: &str) -> String {
        let uri = |name: &str| format!("{folder}{name}/{playlist}");
        let variants = self.variants();
        let master = MasterPlaylist {
            // 7: fMP4 (EXT-X-MAP without I-frames only) needs 6, and 7 says that renditions have SERVICE values; FFmpeg
            // writes 7 too.
            version: Some(7),
            independent_segments: true,
            alternatives: if self.grouped() {
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
                    // RFC 8216: rounded to three decimals.
                    frame_rate: variant
                        .video
                        .map(|video| (video.frame_rate.per_second() * 1000.0).round() / 1000.0),
                    audio: self.grouped().then(|| AUDIO_GROUP.to_owned()),
                    ..VariantStream::default()
                })
                .collect(),
            ..MasterPlaylist::default()
        };
        let mut text = Vec::new();
        master.write_to(&mut text).expect("writing to memory does not fail");
        String::from_utf8(text).expect("a playlist of text is text")
    }

    /// As told in events: one for each variant, best first.
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

    /// Whether sound is in a group of its own: beside pictures, or where there is a choice.
    fn grouped(&self) -> bool {
        !self.audio.is_empty() && (!self.video.is_empty() || self.audio.len() > 1)
    }

    fn variants(&self) -> Vec<Variant<'_>> {
        // The player may choose any track with any rung: the busiest counts.
        let sound = self.audio.iter().map(|track| track.bandwidth).reduce(Bandwidth::max);
        let sound_codec = self.audio.first().map(|track| track.codec.as_str());
        if self.video.is_empty() {
            let tracks = self.audio.first().into_iter();
            return tracks
                .map(|track| Variant {
                    name: track.name.clone(),
                    video: None,
                    bandwidth: sound.unwrap_or_default(),
                    codecs: track.codec.clone(),
                })
                .collect();
        }
        let rungs = self.video.iter();
        rungs
            .map(|video| Variant {
                name: video.rung.name(),
                video: Some(video),
                bandwidth: sound.map_or(video.bandwidth, |sound| video.bandwidth.with(sound)),
                codecs: [Some(video.codec.as_str()), sound_codec]
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
    fn a_film_with_two_tracks_of_sound() {
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
    fn a_picture_without_sound_names_no_group() {
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
    fn sound_alone_is_a_variant_itself() {
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
