//! FFmpeg's list of packets.

use streamio_worker::probe::packets::StreamPackets;
use streamio_worker::probe::testing::read_packets;

use crate::text;

/// Each stream has at most the packets of the list, and times that can be computed with.
pub fn check(data: &[u8]) {
    let Some(text) = text::of(data) else { return };
    let lines = u64::try_from(text.lines().count()).expect("it fits");
    let found = read_packets(text);
    assert!(found.values().map(|stream| stream.packets).sum::<u64>() <= lines);
    for stream in found.values() {
        check_stream(stream);
    }
}

/// What must hold for the packets of any stream.
pub(crate) fn check_stream(stream: &StreamPackets) {
    assert!(stream.densest_second <= StreamPackets::MAX_DENSITY);
    assert!(stream.end.is_finite(), "{stream:?}");
    assert!(stream.first_pts.is_none_or(f64::is_finite), "{stream:?}");
    assert!(stream.packets > 0 || (stream.first_pts.is_none() && stream.bytes == 0), "{stream:?}");
    for gap in stream.gaps.in_order() {
        assert!(gap.start.is_finite() && gap.end.is_finite() && gap.start <= gap.end, "{gap:?}");
    }
    for jump in stream.jumps.as_slice() {
        assert!(jump.start.is_finite() && jump.end.is_finite() && jump.shift.is_finite(), "{jump:?}");
    }
}
