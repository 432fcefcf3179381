//! The file that is uploaded.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The words of the command that makes it: two seconds of a moving pattern with a tone.
const CLIP: &str = "-hide_banner -nostdin -v error -y -f lavfi -i testsrc2=d=2:s=320x180:r=25 -f lavfi -i sine=d=2:f=440 \
     -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac";

/// Makes the clip in the folder `work`, and returns its bytes.
pub(super) fn make(work: &Path) -> Result<Vec<u8>> {
    let file = work.join("clip.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(CLIP.split_whitespace()).arg(&file);
    process::capture_ok(command)?;
    fs::read(&file).with_context(|| format!("FFmpeg made no {}", file.display()))
}
