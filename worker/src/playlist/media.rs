//! Parses the media playlists that FFmpeg wrote.

use crate::argv::INIT;

/// A media playlist.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaPlaylist {
    /// Segments in playback order.
    pub segments: Vec<Segment>,
    /// Upper bound of the segments' durations in seconds, rounded.
    pub target_duration: u64,
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
        let segments = playlist
            .segments
            .into_iter()
            // Via text: converting the parser's `f32` directly would not give 4.010667 as `f64`.
            .map(|segment| Segment {
                duration: segment.duration.to_string().parse().unwrap_or(0.0),
                name: segment.uri,
            })
            .collect();
        Ok(Self { segments, target_duration: playlist.target_duration })
    }

    /// Total duration in seconds.
    pub fn duration(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }
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
    fn an_unfinished_or_foreign_playlist_is_refused() {
        for (from, to) in [("#EXT-X-ENDLIST", ""), ("init.mp4", "x.mp4"), ("#EXTM3U", "")] {
            assert!(MediaPlaylist::parse(PLAYLIST.replace(from, to).as_bytes()).is_err(), "{from}");
        }
        assert!(MediaPlaylist::parse(b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-ENDLIST\n").is_err());
    }
}
