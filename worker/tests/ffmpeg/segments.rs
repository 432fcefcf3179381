//! The segments of a rendition, of which the last must not be so short that players skip it.

use std::path::{Path, PathBuf};

use streamio_worker::argv::SEGMENT_SUFFIX;

use super::inspect;
use super::published::{PublishedVideo, publish_clip};

/// The media playlists of all renditions, sound last.
fn playlists(video: &PublishedVideo) -> Vec<(PathBuf, m3u8_rs::MediaPlaylist)> {
    let master = video.master();
    let variants = inspect::variants(&master).into_iter().map(|(_, path)| path);
    let alternatives = inspect::parse(&master).alternatives.into_iter();
    let tracks = alternatives.map(|track| master.parent().unwrap().join(track.uri.unwrap()));
    let parsed = |path: PathBuf| {
        let text = std::fs::read(&path).unwrap();
        (path, m3u8_rs::parse_media_playlist_res(&text).unwrap())
    };
    variants.chain(tracks).map(parsed).collect()
}

fn check(name: &str, path: &Path, playlist: &m3u8_rs::MediaPlaylist, count: usize) {
    let durations: Vec<_> = playlist.segments.iter().map(|segment| segment.duration).collect();
    assert_eq!(durations.len(), count, "{name}: {durations:?}");
    let shortest = durations.iter().copied().fold(f32::INFINITY, f32::min);
    assert!(count == 1 || shortest >= 0.25, "{name}: {durations:?}");
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
    let longest = durations.iter().map(|duration| duration.round() as u64).max();
    assert_eq!(Some(playlist.target_duration), longest, "{name}: {durations:?}");
    for segment in &playlist.segments {
        assert!(path.with_file_name(&segment.uri).exists(), "{name}: {}", segment.uri);
    }
}

#[tokio::test]
async fn no_rendition_ends_with_a_segment_that_players_may_skip() {
    for (seconds, count) in [(8.01, 2), (12.0, 3), (12.02, 3), (16.0, 4), (12.5, 4)] {
        let args = format!(
            "-f lavfi -i testsrc2=s=480x480:r=25:d={seconds} -f lavfi -i sine=440:r=48000:d={seconds} \
             -c:v libx264 -preset ultrafast -c:a aac"
        );
        let video = publish_clip("clip.mp4", &args, seconds).await;
        let playlists = playlists(&video);
        assert_eq!(playlists.len(), 4, "three sizes and sound");
        for (path, playlist) in playlists {
            check(&format!("{seconds} s: {}", path.display()), &path, &playlist, count);
        }
        let prefix = video.job.s3_key.processed().attempt_prefix(1, 1);
        let stored = video.harness.storage.keys(super::harness::PROCESSED);
        let stored =
            stored.iter().filter(|key| key.starts_with(&prefix) && key.ends_with(SEGMENT_SUFFIX)).count();
        assert_eq!(stored, 4 * count, "{seconds} s: a joined segment is stored once");
    }
}

#[tokio::test]
async fn sound_alone_does_not_end_with_a_single_packet() {
    let video = publish_clip("sound.flac", "-f lavfi -i sine=440:r=48000:d=12 -c:a flac", 12.0).await;
    for (path, playlist) in playlists(&video) {
        check("sound", &path, &playlist, 3);
    }
}
