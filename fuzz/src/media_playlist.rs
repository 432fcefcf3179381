//! Media playlists that FFmpeg wrote.

use streamio_worker::playlist::MediaPlaylist;

/// An accepted playlist is written as one with the same segments, also after its last segment was joined to the one before it.
pub fn check(data: &[u8]) {
    let Ok(mut playlist) = MediaPlaylist::parse(data) else { return };
    let total = playlist.duration();
    assert!(total.is_finite() && total >= 0.0, "{total}");
    is_written_as_itself(&playlist);
    let count = playlist.segments.len();
    if playlist.join_last().is_some() {
        assert_eq!(playlist.segments.len(), count - 1);
        assert!((playlist.duration() - total).abs() <= 1e-6 * total.max(1.0), "{total}");
        is_written_as_itself(&playlist);
    } else {
        assert_eq!(count, 1);
    }
}

fn is_written_as_itself(playlist: &MediaPlaylist) {
    let again = MediaPlaylist::parse(&playlist.to_text()).expect("what is written is accepted");
    assert_eq!(again.segments.len(), playlist.segments.len());
    assert_eq!(again.target_duration, playlist.target_duration);
    for (again, segment) in again.segments.iter().zip(&playlist.segments) {
        assert_eq!(again.name, segment.name);
        // The parser keeps durations in 32 bits.
        assert!((again.duration - segment.duration).abs() <= 1e-6 * segment.duration.max(1.0));
    }
}
