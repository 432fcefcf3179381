//! What only the first decoded frames show: a rotation and the luminance of HDR that the codec states and the container does not.

use serde::Deserialize;

use super::VideoStream;
use super::input::guards;
use crate::failure::Failure;
use crate::process::CaptureError;
use crate::relay::Input;
use crate::tools::Tools;

/// Completes `video` by what its first frame states. Decodes that frame only where it may state something. A frame that
/// cannot be decoded states nothing: whether the video can be decoded is known only when it is encoded.
pub(super) async fn inspect(
    tools: &Tools,
    input: &Input,
    video: &mut VideoStream,
    in_mp4: bool,
) -> Result<(), Failure> {
    let is_pq = video.color.transfer.as_deref() == Some("smpte2084");
    // In MP4 the rotation is the container's.
    let may_be_rotated = !in_mp4 && video.rotation == 0 && matches!(video.codec.as_str(), "h264" | "hevc");
    if !is_pq && !may_be_rotated {
        return Ok(());
    }
    let mut args: Vec<String> = ["-hide_banner", "-v", "error"].map(str::to_owned).into();
    args.extend(guards());
    args.extend(["-select_streams".to_owned(), video.index.to_string()]);
    args.extend(
        ["-read_intervals", "%+#8", "-show_entries", ENTRIES, "-of", "json", "-i", input.url()]
            .map(str::to_owned),
    );
    let invocation = tools.ffprobe(args, input, super::decoding(super::TIMEOUT));
    match invocation.capture(super::TIMEOUT, super::MAX_OUTPUT_BYTES).await {
        Ok(finished) => apply(&finished.stdout, video),
        Err(CaptureError::Machine(error)) => return Err(error.into()),
        Err(error) => {
            tracing::info!(
                error = &error as &dyn std::error::Error,
                "the first frame could not be inspected"
            );
        }
    }
    Ok(())
}

const ENTRIES: &str = "frame=side_data_list:frame_side_data=rotation,max_luminance,max_content";

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

impl Frame {
    fn is_rotated(&self) -> bool {
        self.side_data_list.iter().any(|side_data| side_data.rotation.is_some())
    }
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
    /// Luminance of the mastering display in nits, as a fraction (SMPTE ST 2086).
    max_luminance: Option<String>,
    /// Luminance of the brightest pixel in nits, 0 if unknown (CTA-861.3).
    max_content: Option<u32>,
}

fn apply(json: &[u8], video: &mut VideoStream) {
    let Ok(report) = serde_json::from_slice::<Report>(json) else { return };
    let Some(frame) = report.frames.first() else { return };
    for side_data in &frame.side_data_list {
        let luminance = side_data.max_luminance.as_deref().and_then(whole);
        for nits in [luminance, side_data.max_content].into_iter().flatten().filter(|nits| *nits > 0) {
            video.color.peak = Some(video.color.peak.map_or(nits, |peak| peak.min(nits)));
        }
        if let Some(degrees) = side_data.rotation.filter(|_| video.rotation == 0) {
            video.rotate(super::parse::quarter_turns(-degrees));
            // A rotation in the first frame only lasts until the next one (ITU-T H.264, D.2.27).
            video.rotation_persists = !report.frames.get(1).is_some_and(Frame::is_rotated);
        }
    }
}

/// A fraction, rounded up to a whole number.
fn whole(fraction: &str) -> Option<u32> {
    let (numerator, denominator) = fraction.split_once('/')?;
    Some(
        numerator
            .parse::<u32>()
            .ok()?
            .div_ceil(denominator.parse().ok().filter(|denominator| *denominator > 0)?),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(side_data: &str) -> VideoStream {
        let mut video = VideoStream::of_size("hevc", 1920, 1080);
        apply(format!(r#"{{"frames":[{{"side_data_list":[{side_data}]}}]}}"#).as_bytes(), &mut video);
        video
    }

    #[test]
    fn the_peak_is_the_lower_of_content_and_mastering_display() {
        let display = r#"{"side_data_type":"x","max_luminance":"1000000/10000"}"#;
        assert_eq!(inspected(display).color.peak, Some(100));
        assert_eq!(inspected(&format!(r#"{display},{{"max_content":80}}"#)).color.peak, Some(80));
        assert_eq!(
            inspected(&format!(r#"{display},{{"max_content":0}}"#)).color.peak,
            Some(100),
            "0 is unknown"
        );
        assert_eq!(inspected(r#"{"max_luminance":"1/0"}"#).color.peak, None);
    }

    #[test]
    fn a_rotation_that_the_codec_states_swaps_the_sides() {
        let video = inspected(r#"{"rotation":90}"#);
        assert_eq!((video.rotation, video.display, video.rotation_persists), (270, (1080, 1920), true));
        let video = inspected(r#"{"rotation":-180}"#);
        assert_eq!((video.rotation, video.display), (180, (1920, 1080)));
    }
}
