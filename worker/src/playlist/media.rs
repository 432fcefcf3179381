//! Parses the media playlists that FFmpeg wrote, and writes those whose last segment was joined to the one before it.

use streamio_events::digits;

use crate::argv::{INIT, SEGMENT_SUFFIX};

/// A media playlist.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaPlaylist {
    /// Segments in playback order.
    pub segments: Vec<Segment>,
    /// Upper bound of the segments' durations in seconds, rounded.
    pub target_duration: u64,
    parsed: m3u8_rs::MediaPlaylist,
}

/// A segment of a media playlist.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The file name.
    pub name: String,
    /// Duration in seconds.
    pub duration: f64,
}

/// A playlist that differs from what FFmpeg was configured to write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the encoder's playlist is not as expected: {0}")]
pub struct InvalidPlaylist(&'static str);

impl MediaPlaylist {
    /// Parses the playlist of a complete rendition.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidPlaylist> {
        let playlist =
            m3u8_rs::parse_media_playlist_res(text).map_err(|_| InvalidPlaylist("it cannot be parsed"))?;
        if !playlist.end_list {
            return Err(InvalidPlaylist("it has no end"));
        }
        let first = playlist.segments.first().ok_or(InvalidPlaylist("it has no segments"))?;
        if first.map.as_ref().is_none_or(|map| map.uri != INIT) {
            return Err(InvalidPlaylist("it names another initialization segment"));
        }
        // The worker opens the files of these names with more rights than FFmpeg has.
        if !playlist.segments.iter().all(|segment| is_segment(&segment.uri)) {
            return Err(InvalidPlaylist("a segment has another name"));
        }
        let segments = playlist
            .segments
            .iter()
            // Via text: converting the parser's `f32` directly would not give 4.010667 as `f64`.
            .map(|segment| Segment {
                duration: segment.duration.to_string().parse().unwrap_or(0.0),
                name: segment.uri.clone(),
            })
            .collect();
        Ok(Self { segments, target_duration: playlist.target_duration, parsed: playlist })
    }

    /// Joins the last segment to the one before it. Returns the joined segment and the name of the last one, which is gone from
    /// the playlist; `None` if there are not two.
    pub fn join_last(&mut self) -> Option<(Segment, String)> {
        let [.., joined, last] = self.segments.as_mut_slice() else { return None };
        joined.duration += last.duration;
        let (joined, last) = (joined.clone(), last.name.clone());
        self.segments.pop();
        self.parsed.segments.pop();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few seconds; the parser keeps 32 bits of each duration"
        )]
        {
            self.parsed.segments.last_mut()?.duration = joined.duration as f32;
            // RFC 8216, section 4.3.3.1: no segment is longer when rounded.
            self.target_duration = self.target_duration.max(joined.duration.round() as u64);
        }
        self.parsed.target_duration = self.target_duration;
        Some((joined, last))
    }

    /// The text of the playlist.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.parsed.write_to(&mut text).expect("writing to memory does not fail");
        text
    }

    /// Total duration in seconds.
    pub fn duration(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }
}

/// Whether FFmpeg was told to write segments under such names: a number and [`SEGMENT_SUFFIX`].
fn is_segment(name: &str) -> bool {
    name.strip_suffix(SEGMENT_SUFFIX).is_some_and(|number| digits::number::<u64>(number).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYLIST: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n\
        #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4.010667,\n\
        00000.m4s\n#EXTINF:1.280000,\n00001.m4s\n#EXT-X-ENDLIST\n";

    #[test]
    fn segments_are_parsed_with_their_durations() {
        let playlist = MediaPlaylist::parse(PLAYLIST.as_bytes()).unwrap();
        assert_eq!(playlist.segments[0], Segment { name: "00000.m4s".into(), duration: 4.010_667 });
        assert_eq!((playlist.segments.len(), playlist.target_duration), (2, 4));
        assert!((playlist.duration() - 5.290_667).abs() < 1e-9);
    }

    #[test]
    fn the_last_segment_is_joined_to_the_one_before_it_and_the_target_duration_stays_true() {
        let mut playlist = MediaPlaylist::parse(PLAYLIST.as_bytes()).unwrap();
        let (joined, last) = playlist.join_last().unwrap();
        assert_eq!((joined.name.as_str(), last.as_str()), ("00000.m4s", "00001.m4s"));
        assert_eq!((playlist.target_duration, playlist.segments.len()), (5, 1));
        let text = String::from_utf8(playlist.to_text()).unwrap();
        assert!(text.contains("#EXTINF:5.290667,\n00000.m4s\n#EXT-X-ENDLIST"), "{text}");
        let again = MediaPlaylist::parse(text.as_bytes()).unwrap();
        assert_eq!((&again.segments, again.target_duration), (&playlist.segments, 5));
        for kept in ["#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-VERSION:7"] {
            assert!(text.contains(kept), "{text}");
        }
        assert_eq!(playlist.join_last(), None);
    }

    #[test]
    fn a_playlist_that_names_other_files_is_refused() {
        for name in [
            "../00001.m4s",
            "/etc/passwd",
            "/00001.m4s",
            "1/00001.m4s",
            "00001.mp4",
            ".m4s",
            "+1.m4s",
            "a.m4s",
        ] {
            let text = PLAYLIST.replace("00001.m4s", name);
            assert_eq!(
                MediaPlaylist::parse(text.as_bytes()),
                Err(InvalidPlaylist("a segment has another name")),
                "{name}"
            );
        }
    }

    #[test]
    fn an_unfinished_or_foreign_playlist_is_refused() {
        for (from, to) in [("#EXT-X-ENDLIST", ""), ("init.mp4", "x.mp4"), ("#EXTM3U", "")] {
            assert!(MediaPlaylist::parse(PLAYLIST.replace(from, to).as_bytes()).is_err(), "{from}");
        }
        assert!(MediaPlaylist::parse(b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-ENDLIST\n").is_err());
    }
}
