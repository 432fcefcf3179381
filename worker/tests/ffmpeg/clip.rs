//! Makes test clips with FFmpeg.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs `program` to its end. Fails if it cannot be started.
pub(super) fn run<I: AsRef<OsStr>>(
    program: &str,
    directory: &Path,
    args: impl IntoIterator<Item = I>,
) -> Output {
    Command::new(program).current_dir(directory).args(args).output().unwrap_or_else(|error| {
        panic!("`{program}` cannot be started ({error}): install FFmpeg 5.1 or later")
    })
}

/// Makes the file `name` in `directory` with FFmpeg. `args` is split at whitespace.
pub(super) fn make(directory: &Path, name: &str, args: &str) -> PathBuf {
    let words = "-nostdin -v error -y".split(' ').chain(args.split_whitespace()).chain([name]);
    let output = run("ffmpeg", directory, words);
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    directory.join(name)
}

/// Input arguments for a moving test pattern.
pub(super) fn video_input(size: &str, rate: u32, seconds: u32) -> String {
    format!("-f lavfi -i testsrc2=size={size}:rate={rate}:duration={seconds}")
}

/// Input arguments for a sine tone.
pub(super) fn audio_input(hertz: u32, seconds: u32) -> String {
    format!("-f lavfi -i sine=frequency={hertz}:sample_rate=44100:duration={seconds}")
}
