//! Leaves out sound whose time FFmpeg computed with the wrong sample rate.

/// The sample rates of MPEG audio (ISO/IEC 11172-3 and 13818-3, and the extension to lower rates known as 2.5).
const RATES: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/// Frames by which a time may differ from the expected one.
const TOLERANCE: u32 = 4;

/// Seconds within which a graph that begins is that of the beginning of the file.
const BEGINNING: f64 = 0.1;

/// A filter for MPEG audio, to be the first of its graph.
///
/// Where the rate changes, FFmpeg's decoder returns one frame that states the old rate, with a time in samples of the new one: half
/// an hour into a file that changes from 32 to 44.1 kHz, that is eleven minutes too late. Such a frame is the last of its graph; its
/// time is that of the frame before, multiplied by the ratio of two rates. Two such frames do not follow one another. A single frame
/// with a damaged header has a graph of its own, so the first frame of a graph is left out too. The silence that replaces them is some
/// 26 ms long.
pub(super) fn without_wrong_times() -> String {
    let of_another_rate = RATES
        .map(|rate| format!("lt(abs(pts*sample_rate-ld(0)*{rate}),{TOLERANCE}*samples_n*{rate})"))
        .join("+");
    format!(
        "aselect='if(isnan(prev_pts),lt(t,{BEGINNING}),\
         st(0,prev_selected_pts+samples_n);lte(abs(pts-ld(0)),{TOLERANCE}*samples_n)\
         +gt(abs(prev_pts-prev_selected_pts),0)+not({of_another_rate}))'"
    )
}
