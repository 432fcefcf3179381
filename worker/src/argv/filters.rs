//! FFmpeg filter graphs between the decoders and the encoders.
//!
//! FFmpeg rebuilds a stream's graph whenever its pictures change in size, pixel format or rotation, or its sound in layout,
//! rate or sample format. Frames that wait in a filter are then lost and every filter starts again. So no filter here may keep
//! frames or count time from the beginning: what has to last for the whole encode is left to the encoders' own options (`-r`
//! with `-fps_mode cfr`, and `-async`).

mod audio;
mod frame;
mod jumps;
mod poster;
mod rates;
mod timeline;

pub(super) use self::audio::{MAX_DRIFT, audio, audio_with_gaps};
pub(super) use self::poster::poster;
pub(super) use self::timeline::DROP_THRESHOLD;
use crate::plan::VideoPlan;

/// The video graph: from the input stream to `[v0]`, `[v1]`, … (one per rung).
///
/// Deinterlaces, gives each picture its place in the constant frame rate, and converts to the size and colours of the largest
/// rung. The smaller rungs are scaled from that one, which is much cheaper than scaling each from the source.
pub(super) fn video(plan: &VideoPlan) -> String {
    let mut chain: Vec<_> = jumps::pictures(&plan.jumps).into_iter().collect();
    chain.extend(straightened(plan));
    chain.extend(timeline::timeline(plan));
    chain.push(frame::to_size_and_color(plan));
    let parts = (0..plan.rungs.len()).map(|position| format!("[s{position}]")).collect::<Vec<_>>().concat();
    chain.push(format!("split={}{parts}", plan.rungs.len()));

    let mut graph = vec![format!("[0:{}]{}", plan.index, chain.join(",")), "[s0]null[v0]".to_owned()];
    for (position, rung) in plan.rungs.iter().enumerate().skip(1) {
        graph.push(format!("[s{position}]scale={}:{},setsar=1[v{position}]", rung.width, rung.height));
    }
    graph.join(";")
}

/// Upright, progressive pictures.
fn straightened(plan: &VideoPlan) -> Vec<String> {
    let mut filters = Vec::new();
    if plan.deinterlace {
        // One frame per two fields, and only for frames marked as interlaced.
        filters.push("bwdif=mode=send_frame:parity=auto:deint=interlaced".to_owned());
    }
    match plan.rotation {
        Some(90) => filters.push("transpose=clock".to_owned()),
        Some(180) => filters.push("hflip,vflip".to_owned()),
        Some(270) => filters.push("transpose=cclock".to_owned()),
        _ => {}
    }
    filters
}
