//! The graph of an audio track.

use super::{jumps, rates};
use crate::plan::{AudioPlan, SoundTime};

/// The sample rate of all tracks.
const RATE: u32 = 48_000;
/// Samples in a packet of the AAC encoder.
const PACKET: u32 = 1024;
/// Seconds by which sound may be apart from its time before FFmpeg inserts silence or leaves out sound. FFmpeg's default of 0.1 s is seen
/// in moving lips. Recorders state times that are off by some milliseconds, which must not be heard.
pub(in crate::argv) const MAX_DRIFT: &str = "0.03";

/// From any sound to stereo at 48 kHz that starts at time zero, has silence in its gaps and for `silence` after its end.
///
/// Unless there is one graph from time zero, a graph that FFmpeg rebuilds begins at the time of its first sound, and up to one packet
/// of the old graph's sound is lost. The first sound is therefore moved back to a whole packet and silence is inserted after it, so that
/// the encoder's packets stay without gaps and everything after it is in its place.
pub(in crate::argv) fn audio(plan: &AudioPlan, time: SoundTime) -> String {
    let mut filters = frames(plan);
    if plan.channels > MAX_STANDARD_CHANNELS {
        filters.push(downmix(plan.channels));
    }
    if time == SoundTime::OneGraph {
        filters.push(format!("aresample={RATE}:{}", from_zero()));
        filters.push("aformat=sample_fmts=fltp:channel_layouts=stereo".to_owned());
    } else {
        // Without `-async`, this one bears times that are off by some milliseconds.
        let bears = if time == SoundTime::Graphs {
            format!(":async=1:min_hard_comp={MAX_DRIFT}")
        } else {
            String::new()
        };
        filters.push(format!("aresample={RATE}{bears}"));
        filters.push("aformat=sample_fmts=fltp:channel_layouts=stereo".to_owned());
        filters.push(format!("asetpts='if(isnan(PREV_INPTS),floor(PTS/{PACKET})*{PACKET},PTS)'"));
        filters.push("aresample=async=1:min_hard_comp=0.0001".to_owned());
    }
    filters.extend(silence_after(plan));
    filters.join(",")
}

/// The frames of the input, each at its time.
fn frames(plan: &AudioPlan) -> Vec<String> {
    let wrong = plan.mislabels_rates.then(rates::without_wrong_times);
    wrong.into_iter().chain(jumps::sound(&plan.jumps)).collect()
}

/// Options of `aresample` to fill the beginning and gaps with silence.
fn from_zero() -> String {
    format!("async=1:first_pts=0:min_hard_comp={MAX_DRIFT}")
}

fn silence_after(plan: &AudioPlan) -> Option<String> {
    if let Some(end) = plan.silent_until {
        return Some(format!("apad,atrim=end={end:.6}"));
    }
    (plan.silence > 0.0).then(|| format!("apad=pad_dur={:.6}", plan.silence))
}

/// Seconds of a gap, at each of its ends, that are filled together with the sound there.
const MARGIN: f64 = 1.0;

/// The same as [`audio`], for a track with long gaps: from the input stream to `[a1]`, where 1 is the stream's index.
///
/// `aresample` fills a gap with one block of silence, which takes 770 kB of memory a second. Here the parts between the gaps are
/// joined with silence that is made while it is encoded. Each part has a whole number of samples, so that times stay exact.
pub(in crate::argv) fn audio_with_gaps(plan: &AudioPlan) -> String {
    let index = plan.index;
    let fill = format!("aresample={}", from_zero());
    // The beginning and end of each part; none: the end of the track.
    let mut parts = Vec::new();
    let mut start = 0.0;
    for gap in &plan.gaps {
        if gap.start > 0.0 {
            parts.push((start, Some(gap.start + MARGIN)));
        }
        start = gap.end - MARGIN;
    }
    parts.push((start, None));
    let mut joined = Vec::new();
    let mut graph = vec![String::new()];
    let mut time = 0.0;
    for (number, (start, end)) in parts.iter().enumerate() {
        if *start > time {
            let silence = format!("[n{index}_{number}]");
            graph.push(format!(
                "anullsrc=r={RATE}:cl=stereo:d={:.6},aformat=sample_fmts=fltp{silence}",
                start - time
            ));
            joined.push(silence);
        }
        let until = end.map(|end| format!(":end={end:.6}")).unwrap_or_default();
        let pad = end.map(|end| format!(",apad=whole_dur={:.6}", end - start)).unwrap_or_default();
        graph.push(format!(
            "[s{index}_{number}]atrim=start={start:.6}{until},asetpts=PTS-{start:.6}/TB,{fill}{pad}[p{index}_{number}]"
        ));
        joined.push(format!("[p{index}_{number}]"));
        time = end.unwrap_or(*start);
    }
    let mut input = frames(plan);
    if plan.channels > MAX_STANDARD_CHANNELS {
        input.push(downmix(plan.channels));
    }
    input.push(format!("aresample={RATE},aformat=sample_fmts=fltp:channel_layouts=stereo"));
    input.push(format!("asplit={}", parts.len()));
    let branches = (0..parts.len()).map(|number| format!("[s{index}_{number}]")).collect::<Vec<_>>().concat();
    graph[0] = format!("[0:{index}]{}{branches}", input.join(","));
    let mut output = vec![format!("concat=n={}:v=0:a=1", joined.len())];
    output.extend(silence_after(plan));
    graph.push(format!("{}{}[a{index}]", joined.concat(), output.join(",")));
    graph.join(";")
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
