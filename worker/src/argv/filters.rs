//! FFmpeg filter graphs between the decoders and the encoders.

use crate::ladder::Rung;
use crate::plan::{AudioPlan, Conversion, VideoPlan};

/// Frames among which the poster is chosen. FFmpeg keeps all of them in memory: 37 MB at 1080p.
const POSTER_CANDIDATES: u32 = 12;

/// The video graph: from the input stream to `[v0]`, `[v1]`, … (one per rung).
///
/// Deinterlaces, makes the frame rate constant, and converts to the size and colours of the largest rung. The smaller rungs
/// are scaled from that one, which is much cheaper than scaling each from the source.
pub(super) fn video(plan: &VideoPlan) -> String {
    let mut chain = deinterlaced(plan);
    // Start at time zero by repeating the first frame, so that all renditions begin together.
    chain.push(format!("fps=fps={}:start_time=0", plan.frame_rate));
    chain.push(to_size_and_color(plan));
    let parts = (0..plan.rungs.len()).map(|position| format!("[s{position}]")).collect::<Vec<_>>().concat();
    chain.push(format!("split={}{parts}", plan.rungs.len()));

    let mut graph = vec![format!("[0:{}]{}", plan.index, chain.join(",")), "[s0]null[v0]".to_owned()];
    for (position, rung) in plan.rungs.iter().enumerate().skip(1) {
        graph.push(format!("[s{position}]scale={}:{},setsar=1[v{position}]", rung.width, rung.height));
    }
    graph.join(";")
}

fn deinterlaced(plan: &VideoPlan) -> Vec<String> {
    // One frame per two fields, and only for frames marked as interlaced.
    let filter = "bwdif=mode=send_frame:parity=auto:deint=interlaced".to_owned();
    if plan.deinterlace { vec![filter] } else { vec![] }
}

fn to_size_and_color(plan: &VideoPlan) -> String {
    let Rung { width, height } = plan.rungs[0];
    match &plan.conversion {
        Conversion::Standard => format!("scale={width}:{height}:out_range=limited,format=yuv420p,setsar=1"),
        Conversion::FromRgb => format!(
            "scale={width}:{height}:out_range=limited:out_color_matrix=bt709,format=yuv420p,\
             setparams=range=limited:color_primaries=bt709:color_trc=bt709:colorspace=bt709,setsar=1"
        ),
        // Linear light, then BT.709 primaries, then tone mapping, then the BT.709 transfer function. 100 nits is the white
        // level of a standard display.
        Conversion::ToneMap { transfer, primaries, matrix } => format!(
            "zscale=w={width}:h={height}:tin={transfer}:pin={primaries}:min={matrix}:t=linear:npl=100,format=gbrpf32le,\
             zscale=p=bt709,tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=limited,format=yuv420p,setsar=1"
        ),
    }
}

/// The poster graph. Picks the candidate frame nearest to the average of all, which avoids black frames and flashes.
pub(super) fn poster(plan: &VideoPlan) -> String {
    let window = plan.poster_window.as_millis().max(1);
    let mut chain = deinterlaced(plan);
    chain.push(format!("trim=end={}.{:03}", window / 1000, window % 1000));
    chain.push(format!("fps=fps={}/{window}:start_time=0", u64::from(POSTER_CANDIDATES) * 1000));
    chain.push(to_size_and_color(plan));
    chain.push(format!("thumbnail=n={POSTER_CANDIDATES},scale=out_range=full,format=yuvj420p"));
    chain.join(",")
}

/// The graph of an audio track: starts at time zero, fills gaps with silence, outputs stereo at 48 kHz.
pub(super) fn audio(plan: &AudioPlan) -> String {
    let selection = if plan.first_two_channels { "pan=stereo|c0=c0|c1=c1," } else { "" };
    format!("{selection}aresample=48000:async=1:first_pts=0,aformat=sample_fmts=fltp:channel_layouts=stereo")
}
