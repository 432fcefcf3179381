//! Conversion to the size and colours of the largest rung.

use crate::ladder::Rung;
use crate::plan::{Conversion, VideoPlan};

/// From a picture of any size to the largest rung: 8-bit 4:2:0, limited range, square pixels.
pub(super) fn to_size_and_color(plan: &VideoPlan) -> String {
    let rung = plan.rungs[0];
    let (size, bars) = (fitted(rung), bars(rung));
    // zscale reads planar RGB only, and FFmpeg might convert other RGB to YUV for it.
    let input = |matrix: &str| if matrix == "gbr" { "format=gbrp|gbrp10|gbrp12|gbrp16," } else { "" };
    match &plan.conversion {
        Conversion::Standard => format!("scale={size}:out_range=limited,format=yuv420p,{bars},setsar=1"),
        Conversion::FromRgb => format!(
            "scale={size}:out_range=limited:out_color_matrix=bt709,format=yuv420p,{bars},\
             setparams=range=limited:color_primaries=bt709:color_trc=bt709:colorspace=bt709,setsar=1"
        ),
        Conversion::Gamut { transfer, primaries, matrix } => format!(
            "{}zscale={size}:tin={transfer}:pin={primaries}:min={matrix}:t=bt709:p=bt709:m=bt709:r=limited,\
             format=yuv420p,{bars},setsar=1",
            input(matrix)
        ),
        // Linear light in which 1 is white, then BT.709 primaries, then tone mapping, then the BT.709 transfer function.
        Conversion::ToneMap { transfer, primaries, matrix, white, peak } => format!(
            "{}zscale={size}:tin={transfer}:pin={primaries}:min={matrix}:t=linear:npl={white},format=gbrpf32le,\
             zscale=p=bt709,tonemap=tonemap=mobius:param={KNEE}:desat=0:peak={:.3},\
             zscale=t=bt709:m=bt709:r=limited,format=yuv420p,{bars},setsar=1",
            input(matrix),
            f64::from(*peak) / f64::from(*white)
        ),
    }
}

/// Below this fraction of white, tone mapping changes nothing; above, it compresses everything up to the peak into the rest. At
/// this value white comes out at about 0.8 of full light, which is 233 of 255 in BT.709, whatever the peak.
const KNEE: f64 = 0.6;

/// Options `w` and `h` of a scaler: the largest size with the picture's shape that fits into `rung`.
///
/// A picture whose shape differs from the rung's by no more than the rounding of sides fills it exactly. Sample aspect
/// ratios outside 1:10 to 10:1 count as 1:1, as in the probe.
fn fitted(rung: Rung) -> String {
    let Rung { width, height } = rung;
    let shape = "a*if(between(sar,0.1,10),sar,1)";
    let fills = format!("lte(abs({width}-{height}*{shape}),2+2*{shape})");
    format!(
        "w='if({fills},{width},max(2,2*trunc(min({width},{height}*{shape})/2)))':\
         h='if({fills},{height},max(2,2*trunc(min({height},{width}/({shape}))/2)))'"
    )
}

/// Black bars around a picture that does not fill `rung`. Costs nothing if it does.
fn bars(rung: Rung) -> String {
    format!("pad={}:{}:(ow-iw)/2:(oh-ih)/2", rung.width, rung.height)
}
