//! ffmpeg and ffprobe, with the encoders that the worker needs.

use std::process::Command;

use anyhow::{Result, bail};

use super::{package_manager, path};
use crate::process::capture_ok;

const PROGRAMS: [&str; 2] = ["ffmpeg", "ffprobe"];
/// The required encoders. Some distributions have an FFmpeg without H.264.
const ENCODERS: [&str; 2] = ["libx264", "aac"];

/// Installs the programs if they are missing, and checks the encoders.
pub(crate) fn ensure() -> Result<()> {
    if !missing().is_empty() {
        package_manager::install("ffmpeg")?;
        let missing = missing();
        if !missing.is_empty() {
            bail!("FFmpeg was installed, but {} is not on PATH", missing.join(" and "));
        }
    }
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-encoders"]);
    let listed = capture_ok(command)?;
    let missing = missing_encoders(&listed);
    if !missing.is_empty() {
        bail!(
            "the FFmpeg on PATH does not have the encoder {}: install a build that has it",
            missing.join(", ")
        );
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    PROGRAMS.into_iter().filter(|program| path::find(program).is_none()).collect()
}

/// Returns the required encoders that `ffmpeg -encoders` does not list. Lines have the form ` V....D libx264   description`.
fn missing_encoders(listed: &str) -> Vec<&'static str> {
    let has = |name: &str| listed.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
    ENCODERS.into_iter().filter(|name| !has(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::missing_encoders;

    #[test]
    fn a_build_without_h264_is_detected() {
        let listed = " V....D libx264rgb           like libx264 for RGB\n A....D aac                  AAC\n";
        assert_eq!(missing_encoders(listed), ["libx264"]);
        assert_eq!(missing_encoders(&format!("{listed} V....D libx264  H.264\n")), [""; 0]);
    }
}
