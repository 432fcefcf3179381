//! The place of each picture in the constant frame rate.
//!
//! The graph only rounds times to whole frames; the encoder repeats pictures (`-r`, `-fps_mode cfr`). It repeats the first one
//! from time zero, and any one through a gap of hours, without the memory that a filter would need for all the copies, and it
//! goes on counting when FFmpeg rebuilds the graph.

use crate::plan::VideoPlan;

/// Units per frame of the timestamps in the graph.
const UNITS: u32 = 100;

/// Where in its frame's time a picture is placed, in units.
///
/// For frames without a duration, FFmpeg's constant rate is exact if pictures come between 0.5 and 1.1 frames after the time at
/// which the encoder expects one: it then repeats the last picture until the new one is due. At 0 it would show the new one
/// a frame early.
const PHASE: u32 = 75;

/// Value of `-frame_drop_threshold`. A picture for a time that is already encoded is dropped; FFmpeg would otherwise encode it,
/// and all later ones, one frame late.
pub(in crate::argv) const DROP_THRESHOLD: &str = "0.5";

/// Filters that place pictures in time; see the module.
pub(super) fn timeline(plan: &VideoPlan) -> Vec<String> {
    // `setpts` cuts fractions off, and a unit may be a whole frame.
    let shifted = match plan.delay {
        delay if delay > 0.0 => format!("round(PTS-{delay:.6}/TB)"),
        _ => "PTS".to_owned(),
    };
    let mut filters = vec![
        // `interleave` refuses frames without a time.
        format!("setpts='if(isnan(PTS),if(isnan(PREV_OUTPTS),0,PREV_OUTPTS),{shifted})'"),
        // With one input it changes no picture, but declares that frames have no duration and that the last one ends where it
        // begins. Durations that FFmpeg estimated do not count.
        "interleave=nb_inputs=1".to_owned(),
        format!("settb={}", plan.frame_rate.tick(UNITS)),
        format!("setpts='{}'", slot()),
        "select='isnan(prev_selected_pts)+gt(pts,prev_selected_pts)'".to_owned(),
    ];
    if let Some(frames) = plan.frames {
        filters.extend(hold_last(frames));
    }
    filters
}

/// The timestamp of the frame nearest in time. A picture that comes within 0.65 frames of the one after the previous counts as
/// that one: times that lie halfway between two frames and are rounded to milliseconds would otherwise alternate.
fn slot() -> String {
    format!(
        "{UNITS}*st(0,if(lte(PTS,PREV_INPTS),ld(0),\
         if(isnan(PREV_INPTS)+gt(abs(PTS/{UNITS}-ld(0)-1),0.65),round(PTS/{UNITS}),ld(0)+1)))+{PHASE}"
    )
}

/// Holds the last picture until the output has `frames` frames, and no longer.
///
/// Copies of the last picture arrive with its own time and get those of the last three frames. Where the encoder is already
/// further it drops them. The third is there because FFmpeg ends an output with as many copies as it needed lately (the median
/// of the last three), which are none after copies that need none.
fn hold_last(frames: u64) -> [String; 2] {
    let before = i64::try_from(frames).unwrap_or(i64::MAX / 1000) - 4;
    [
        "tpad=stop_mode=clone:stop=3".to_owned(),
        format!("setpts='if(lte(PTS,PREV_INPTS),{UNITS}*({before}+st(1,ld(1)+1))+{PHASE},PTS)'"),
    ]
}
