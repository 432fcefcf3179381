//! The default video of the demo.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::capture_ok;
use crate::process::check_interrupted;
use crate::tools::Tools;

/// Returns the path of the sample clip. If it cannot be downloaded, prints why and generates a test pattern in `folder`.
pub(super) fn get(tools: &Tools, folder: &Path) -> Result<PathBuf> {
    match tools.clips() {
        Ok(clips) => Ok(clips.join("bigbuckbunny.mp4")),
        Err(error) => {
            check_interrupted()?;
            eprintln!(
                "demo: could not get the sample clip ({}); generating a test pattern instead",
                first_line(&error)
            );
            generate_test_pattern(folder)
        }
    }
}

fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().trim_end_matches(':').to_owned()
}

/// Generates a test pattern in 720p with a tone, 6 seconds long.
fn generate_test_pattern(folder: &Path) -> Result<PathBuf> {
    let file = folder.join("test-pattern.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error"]);
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=6"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:duration=6"]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]).arg(&file);
    capture_ok(ffmpeg).context("could not generate a test pattern")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::generate_test_pattern;
    use crate::demo::media::probe;

    #[test]
    fn the_test_pattern_is_a_video_with_sound() {
        let folder = tempfile::tempdir().unwrap();
        let file = generate_test_pattern(folder.path()).unwrap();
        let media = probe(&file.to_string_lossy()).unwrap();
        assert_eq!(media.video().map(|video| (video.width, video.height)), Some((1280, 720)));
        assert!(media.audio().is_some());
        assert!((media.seconds - 6.0).abs() < 0.2, "{}", media.seconds);
    }
}
