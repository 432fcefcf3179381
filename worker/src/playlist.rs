//! Playlists: FFmpeg's media playlists are read, the master playlist is written from what was measured.

mod bandwidth;
mod master;
mod media;

pub use self::bandwidth::Bandwidth;
pub use self::master::{AudioRendition, Master, VideoRendition};
pub use self::media::{InvalidPlaylist, MediaPlaylist, Segment};
