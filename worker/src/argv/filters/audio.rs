//! The graph of an audio track.

use crate::plan::AudioPlan;

/// The sample rate of all tracks.
const RATE: u32 = 48_000;
/// Samples in a packet of the AAC encoder.
const PACKET: u32 = 1024;

/// From any sound to stereo at 48 kHz that starts at time zero, has silence in its gaps and for `silence` after its end.
///
/// With `keeps_time`, FFmpeg itself fills the beginning and gaps of the input (`-async`), once for the whole encode. A graph that
/// it rebuilds begins at the time of its first sound, and up to one packet of the old graph's sound is lost. The first sound is
/// therefore moved back to a whole packet and silence is inserted after it, so that the encoder's packets stay without gaps and
/// everything after it is in its place.
pub(in crate::argv) fn audio(plan: &AudioPlan, keeps_time: bool) -> String {
    let mut filters = Vec::new();
    if plan.channels > MAX_STANDARD_CHANNELS {
        filters.push(downmix(plan.channels));
    }
    if keeps_time {
        filters.push(format!("aresample={RATE}"));
        filters.push("aformat=sample_fmts=fltp:channel_layouts=stereo".to_owned());
        filters.push(format!("asetpts='if(isnan(PREV_INPTS),floor(PTS/{PACKET})*{PACKET},PTS)'"));
        filters.push("aresample=async=1:min_hard_comp=0.0001".to_owned());
    } else {
        filters.push(format!("aresample={RATE}:async=1:first_pts=0"));
        filters.push("aformat=sample_fmts=fltp:channel_layouts=stereo".to_owned());
    }
    if plan.silence > 0.0 {
        filters.push(format!("apad=pad_dur={:.6}", plan.silence));
    }
    filters.join(",")
}

/// The most channels that FFmpeg has a standard layout for, and therefore can mix to stereo itself.
const MAX_STANDARD_CHANNELS: u32 = 8;

/// Mixes any number of channels to stereo. The first two stay left and right; as nothing is known of the others, both sides get
/// them at half power. The sum is scaled to the power of one channel.
fn downmix(channels: u32) -> String {
    let others = f64::from(channels.saturating_sub(2));
    let main = 1.0 / (1.0 + others / 2.0).sqrt();
    let side = main * std::f64::consts::FRAC_1_SQRT_2;
    let both = (2..channels).map(|channel| format!("+{side:.4}*c{channel}")).collect::<Vec<_>>().concat();
    format!("aformat=sample_fmts=fltp,pan=stereo|c0={main:.4}*c0{both}|c1={main:.4}*c1{both}")
}
