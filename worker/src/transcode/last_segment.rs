//! Joins a very short last segment of a rendition to the one before it.
//!
//! Players look for the segment at a time with a tolerance of a quarter second (hls.js), so that they may skip a shorter last one
//! and never reach the end. A film whose length is a multiple of a segment's ends with such a segment of sound: the encoder's
//! delay makes sound a packet longer than the picture.

use std::path::Path;

use super::collect::read;
use crate::argv::PLAYLIST;
use crate::failure::{Failure, MachineError};
use crate::plan::SEGMENT_SECONDS;
use crate::playlist::MediaPlaylist;

/// Seconds of the whole video in the last segment, at least. A joined segment is shorter than 4.5 s, so that its rounded length is
/// that of the others.
const SHORTEST: f64 = 0.4;
/// Seconds of one rendition in its last segment, at least. Less than [`SHORTEST`], because renditions differ in length by up to a
/// picture or a packet of sound: the length of the longest decides for all, so that their segments stay aligned.
const SHORTEST_OF_RENDITION: f64 = 0.25;

/// Joins the last segments of the renditions in `folders` of `scratch`, whose encode has ended, where they are too short. The last
/// two segments of each must still be on disk. Renditions whose playlist cannot be read stay as they are.
pub(super) async fn join(scratch: &Path, folders: &[String]) -> Result<(), Failure> {
    let mut playlists = Vec::new();
    for folder in folders {
        let text = read(scratch, &format!("{folder}/{PLAYLIST}")).await?;
        if let Some(playlist) = text.and_then(|text| MediaPlaylist::parse(&text).ok()) {
            playlists.push((scratch.join(folder), playlist));
        }
    }
    let longest = playlists.iter().map(|(_, playlist)| playlist.duration()).fold(0.0, f64::max);
    let count = segments(longest);
    for (folder, mut playlist) in playlists {
        let is_short = playlist.segments.last().is_some_and(|last| last.duration < SHORTEST_OF_RENDITION);
        if (is_short || playlist.segments.len() > count)
            && let Some((joined, last)) = playlist.join_last()
        {
            append(&folder.join(joined.name), &folder.join(last)).await?;
            let text = playlist.to_text();
            let written = tokio::fs::write(folder.join(PLAYLIST), text).await;
            written.map_err(MachineError::io("writing a playlist"))?;
        }
    }
    Ok(())
}

/// The number of segments of a video of `seconds`.
fn segments(seconds: f64) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; casts saturate"
    )]
    let full = ((seconds - SHORTEST) / f64::from(SEGMENT_SECONDS)).max(0.0) as usize;
    full + 1
}

/// Appends the segment `last` to `segment` and deletes it.
async fn append(segment: &Path, last: &Path) -> Result<(), MachineError> {
    let failed = || MachineError::io("joining the last segments");
    let mut bytes = fragments(&tokio::fs::read(segment).await.map_err(failed())?, true);
    bytes.extend(fragments(&tokio::fs::read(last).await.map_err(failed())?, false));
    tokio::fs::write(segment, bytes).await.map_err(failed())?;
    tokio::fs::remove_file(last).await.map_err(failed())
}

/// The boxes of a segment that may be followed or preceded by those of another one: without its index (`sidx`), and without its type
/// (`styp`) unless it comes first. Places within a fragment count from its beginning.
fn fragments(segment: &[u8], is_first: bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((size, kind)) = rest.first_chunk::<4>().zip(rest.get(4..8)) {
        let size = (u32::from_be_bytes(*size) as usize).clamp(8, rest.len());
        let (this, next) = rest.split_at(size);
        if kind != b"sidx" && (is_first || kind != b"styp") {
            kept.extend_from_slice(this);
        }
        rest = next;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_segment_has_at_least_the_shortest_length() {
        for (seconds, expected) in
            [(0.04, 1), (4.0, 1), (4.39, 1), (4.41, 2), (8.01, 2), (12.02, 3), (12.5, 4), (16.0, 4)]
        {
            assert_eq!(segments(seconds), expected, "{seconds} s");
        }
    }

    #[test]
    fn fragments_are_joined_without_the_indexes_of_their_segments() {
        let segment = |media: &[u8]| {
            let boxes: [(&[u8], &[u8]); 4] =
                [(b"styp", b"msdh"), (b"sidx", b"0000"), (b"moof", b"...."), (b"mdat", media)];
            boxes
                .map(|(kind, contents)| {
                    let size = u32::try_from(8 + contents.len()).unwrap().to_be_bytes();
                    [&size, kind, contents].concat()
                })
                .concat()
        };
        let joined = [fragments(&segment(b"first"), true), fragments(&segment(b"2"), false)].concat();
        let kinds: Vec<_> = [4, 16, 28, 41, 53].iter().map(|place| &joined[*place..place + 4]).collect();
        assert_eq!(kinds, [b"styp", b"moof", b"mdat", b"moof", b"mdat"]);
        assert_eq!(joined.len(), 12 + 12 + 13 + 12 + 9);
    }
}
