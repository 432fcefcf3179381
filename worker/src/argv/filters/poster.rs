//! The poster's graph.

use super::{frame, straightened};
use crate::plan::{PosterWindow, VideoPlan};

/// Frames among which the poster is chosen. FFmpeg keeps all of them in memory: 37 MB at 1080p.
const CANDIDATES: u32 = 12;

/// Filters that leave out black pictures: those of which at least 90 % is darker than 32 of 255.
const NOT_BLACK: &str = "blackframe=amount=0:threshold=32,metadata=mode=select:key=lavfi.blackframe.pblack:value=90:function=less";

/// Picks the candidate frame of `window` that is nearest to the average of all, which avoids flashes.
pub(in crate::argv) fn poster(plan: &VideoPlan, window: &PosterWindow) -> String {
    let mut chain = straightened(plan);
    if let Some(length) = window.length {
        let start = window.first;
        chain.push(format!("trim=start={start:.3}:end={:.3}", start + length));
        chain.push(format!("fps=fps={}/{:.0}:start_time={start:.3}", CANDIDATES * 1000, length * 1000.0));
    }
    chain.push(frame::to_size_and_color(plan));
    if window.skip_black {
        chain.push(NOT_BLACK.to_owned());
    }
    if window.length.is_some() {
        chain.push(format!("thumbnail=n={CANDIDATES}"));
    }
    chain.push("scale=out_range=full,format=yuvj420p".to_owned());
    chain.join(",")
}
