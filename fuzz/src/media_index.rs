//! The index of an MP4 or `QuickTime` file.

use streamio_worker::probe::testing::read_index;

use crate::packet_list::check_stream;
use crate::text;

/// Samples are within the file, and their times can be computed with. The first line is the size of the file, the rest the content of
/// `moov`.
pub fn check(data: &[u8]) {
    let ([size], moov) = text::lines(data);
    let size = text::number(size);
    let Some(packets) = read_index(moov, size, usize::MAX) else { return };
    assert!(packets.len() <= moov.len() / 8);
    for stream in packets.values() {
        check_stream(stream);
    }
}
