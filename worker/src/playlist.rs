//! HLS playlists: parses FFmpeg's media playlists and writes the master playlist from measured values.

mod bandwidth;
mod master;
mod media;

pub use self::bandwidth::Bandwidth;
pub use self::master::{AudioRendition, Master, VideoRendition};
pub use self::media::{InvalidPlaylist, MediaPlaylist, Segment};
