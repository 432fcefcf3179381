//! The poster's graph.

use super::{frame, jumps, straightened};
use crate::plan::{PosterWindow, VideoPlan};

/// Frames among which the poster is chosen. FFmpeg keeps all of them in memory: 37 MB at 1080p.
const CANDIDATES: u32 = 12;

/// Filters that leave out black pictures: those of which at least 90 % is darker than 32 of 255.
const NOT_BLACK: &str = "blackframe=amount=0:threshold=32,metadata=mode=select:key=lavfi.blackframe.pblack:value=90:function=less";

/// Picks the candidate frame of `window` that is nearest to the average of all, which avoids flashes.
pub(in crate::argv) fn poster(plan: &VideoPlan, window: &PosterWindow) -> String {
    // After seeking, times do not count from the beginning, as those of the jumps do.
    let mut chain: Vec<_> = jumps::pictures(&plan.jumps).into_iter().filter(|_| window.seek == 0.0).collect();
    chain.extend(straightened(plan));
    if let Some(length) = window.length {
        let start = window.first;
        chain.push(format!("trim=start={start:.3}:end={:.3}", start + length));
        // Leaves pictures out and repeats none: a picture with a wrong time could be repeated for days.
        let step = length / f64::from(CANDIDATES);
        chain.push(format!("select='isnan(prev_selected_t)+gte(t-prev_selected_t,{step:.4})'"));
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
