//! The size of most of the pictures, where it changes in mid-stream: calls that begin small until the network is measured, joined
//! recordings, phones that are turned.
//!
//! Only key frames are decoded: a small part of the time of the encode. A change of size between them, which VP9 and AV1 allow,
//! counts from the next one on.

use std::time::Duration;

use super::input::{Demuxing, guards};
use super::{TIMEOUT, VideoStream, parse};
use crate::failure::Failure;
use crate::process::CaptureError;
use crate::relay::Input;
use crate::tools::Tools;

/// Codecs whose pictures change in size without a new file: those of calls, browsers and broadcasts.
const CODECS: [&str; 8] = ["h264", "hevc", "vp8", "vp9", "av1", "mpeg2video", "mpeg4", "flv1"];

/// Seconds from one key frame to the next, at most. A longer time is a jump.
const LONGEST_GROUP: f64 = 600.0;

/// The slowest rate at which key frames are decoded, in bytes of the file per second.
const SLOWEST: u64 = 1_000_000;

/// Sets the size of `video` to the one that is shown for the longest time, among equals to the earliest. `end` is the time at which
/// the stream ends, `bytes` the size of the file. What cannot be decoded states nothing.
pub(super) async fn inspect(
    tools: &Tools,
    input: &Input,
    demuxing: Demuxing,
    bytes: u64,
    end: f64,
    video: &mut VideoStream,
) -> Result<(), Failure> {
    if !CODECS.contains(&video.codec.as_str()) {
        return Ok(());
    }
    let mut args: Vec<String> = ["-hide_banner", "-v", "error"].map(str::to_owned).into();
    args.extend(guards());
    args.extend(demuxing.args());
    args.extend(["-skip_frame", "nokey", "-select_streams"].map(str::to_owned));
    args.push(video.index.to_string());
    args.extend(["-show_entries", ENTRIES, "-of", "compact=p=0", "-i", input.url()].map(str::to_owned));
    let mut sizes = Sizes::default();
    let time = TIMEOUT + Duration::from_secs(bytes / SLOWEST);
    let invocation = tools.ffprobe(args, input, super::decoding(time));
    match invocation.for_each_line(time, |line| sizes.add(line)).await {
        Ok(_) => sizes.apply(end, video),
        Err(CaptureError::Machine(error)) => return Err(error.into()),
        Err(error) => {
            tracing::info!(error = &error as &dyn std::error::Error, "not all key frames could be inspected");
        }
    }
    Ok(())
}

const ENTRIES: &str =
    "frame=best_effort_timestamp_time,width,height,sample_aspect_ratio:frame_side_data=rotation";

/// Different sizes that are counted, at most.
const MAX_SIZES: usize = 64;

/// How long each size is shown.
#[derive(Debug, Default)]
struct Sizes {
    shown: Vec<(Size, f64)>,
    first_time: Option<f64>,
    latest: Option<(Size, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Size {
    width: u32,
    height: u32,
    shape: Option<String>,
    /// Whether the picture is shown turned by a quarter.
    is_turned: bool,
}

impl Sizes {
    /// Adds a key frame: `best_effort_timestamp_time=1.4|width=320|height=180|sample_aspect_ratio=1:1|rotation=90`.
    fn add(&mut self, line: &str) {
        let field =
            |name: &str| line.split('|').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let number =
            |name: &str| field(name).and_then(|text| text.parse::<u32>().ok()).filter(|side| *side > 0);
        let (Some(time), Some(width), Some(height)) = (
            field("best_effort_timestamp_time").and_then(|text| text.parse().ok()),
            number("width"),
            number("height"),
        ) else {
            return;
        };
        let degrees = field("rotation").and_then(|text| text.parse().ok()).unwrap_or(0.0);
        let is_turned = !parse::quarter_turns(degrees).is_multiple_of(180);
        let shape = field("sample_aspect_ratio").map(str::to_owned);
        self.first_time.get_or_insert(time);
        self.until(time);
        self.latest = Some((Size { width, height, shape, is_turned }, time));
    }

    /// Ends the time of the latest key frame.
    fn until(&mut self, time: f64) {
        let Some((size, since)) = self.latest.take() else { return };
        let seconds = time - since;
        let seconds = if (0.0..=LONGEST_GROUP).contains(&seconds) { seconds } else { 0.0 };
        if let Some((_, total)) = self.shown.iter_mut().find(|(other, _)| *other == size) {
            *total += seconds;
        } else if self.shown.len() < MAX_SIZES {
            self.shown.push((size, seconds));
        }
    }

    fn apply(mut self, end: f64, video: &mut VideoStream) {
        self.until(self.first_time.unwrap_or(0.0) + end);
        // Tenths of a second, so that equal halves are equal.
        let tenths = |seconds: f64| (seconds * 10.0).round();
        let longest = self.shown.iter().rev().max_by(|a, b| tenths(a.1).total_cmp(&tenths(b.1)));
        let Some((size, _)) = longest.filter(|_| self.shown.len() > 1) else { return };
        let largest = self.shown.iter().map(|(size, _)| (size.width, size.height));
        let pixels = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        video.coded = largest.max_by_key(|size| pixels(*size)).unwrap_or(video.coded);
        let square = (parse::square_width(size.width, size.shape.as_deref()), size.height);
        // What the container states holds for all pictures.
        let is_turned = size.is_turned || !video.rotation.is_multiple_of(180);
        video.display = if is_turned { (square.1, square.0) } else { square };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(lines: &[&str], end: f64) -> VideoStream {
        let mut video = VideoStream::of_size("vp8", 320, 180);
        let mut sizes = Sizes::default();
        for line in lines {
            sizes.add(line);
        }
        sizes.apply(end, &mut video);
        video
    }

    fn frame(time: f64, size: (u32, u32)) -> String {
        format!(
            "best_effort_timestamp_time={time:.6}|width={}|height={}|sample_aspect_ratio=1:1",
            size.0, size.1
        )
    }

    #[test]
    fn the_size_that_is_shown_longest_counts() {
        let frames = [(1.4, (320, 180)), (2.4, (640, 360)), (3.4, (1280, 720)), (3.9, (640, 360))];
        let lines = frames.map(|(time, size)| frame(time, size));
        let video = inspected(&lines.each_ref().map(String::as_str), 10.0);
        assert_eq!((video.display, video.coded), ((640, 360), (1280, 720)));
    }

    #[test]
    fn among_equals_the_earliest_counts() {
        let lines = [frame(0.0, (320, 180)), frame(3.0, (640, 360))];
        assert_eq!(inspected(&lines.each_ref().map(String::as_str), 6.0).display, (320, 180));
    }

    #[test]
    fn a_quarter_turn_and_the_shape_of_pixels_count() {
        let first = frame(0.0, (320, 180));
        let turned = format!("{}|rotation=-90", frame(1.0, (640, 360)));
        assert_eq!(inspected(&[&first, &turned], 9.0).display, (360, 640));
        let wide = frame(1.0, (720, 576)).replace("1:1", "64:45");
        assert_eq!(inspected(&[&first, &wide], 9.0).display, (1024, 576));
        assert_eq!(inspected(&[&turned], 9.0).display, (320, 180), "one size only: the probe knows it");
    }
}
