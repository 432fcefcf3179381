//! FFmpeg and ffprobe, with what the worker asks of them.

use std::process::Command;

use anyhow::{Result, bail};

use super::{package_manager, path};
use crate::process::capture_ok;

const PROGRAMS: [&str; 2] = ["ffmpeg", "ffprobe"];
/// Encoders without which no rendition can be made. Some distributions ship an FFmpeg without H.264.
const ENCODERS: [&str; 2] = ["libx264", "aac"];

/// Finds both programs, or installs them; then checks the encoders.
pub(crate) fn ensure() -> Result<()> {
    if !missing().is_empty() {
        package_manager::install("ffmpeg")?;
        let still = missing();
        if !still.is_empty() {
            bail!("FFmpeg was installed, but {} is not on PATH", still.join(" and "));
        }
    }
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-encoders"]);
    let listed = capture_ok(command)?;
    let lacking = lacking_encoders(&listed);
    if !lacking.is_empty() {
        bail!("the FFmpeg on PATH has no encoder {}: install a build that has", lacking.join(", "));
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    PROGRAMS.into_iter().filter(|program| path::find(program).is_none()).collect()
}

/// Which of the needed encoders `ffmpeg -encoders` does not list. Lines are ` V....D libx264   description`.
fn lacking_encoders(listed: &str) -> Vec<&'static str> {
    let has = |name: &str| listed.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
    ENCODERS.into_iter().filter(|name| !has(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::lacking_encoders;

    #[test]
    fn a_build_without_h264_is_noticed() {
        let listed = " V....D libx264rgb           like libx264 for RGB\n A....D aac                  AAC\n";
        assert_eq!(lacking_encoders(listed), ["libx264"]);
        assert_eq!(lacking_encoders(&format!("{listed} V....D libx264  H.264\n")), [""; 0]);
    }
}
