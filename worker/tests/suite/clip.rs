//! Test clips, made by FFmpeg.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs `program`, or fails the test by naming it.
pub(super) fn run<I: AsRef<OsStr>>(
    program: &str,
    directory: &Path,
    args: impl IntoIterator<Item = I>,
) -> Output {
    Command::new(program).current_dir(directory).args(args).output().unwrap_or_else(|error| {
        panic!("`{program}` cannot be started ({error}): install FFmpeg 5.1 or later")
    })
}

/// Makes `name` in `directory` with FFmpeg's `args`, words separated by white space.
pub(super) fn make(directory: &Path, name: &str, args: &str) -> PathBuf {
    let words = "-nostdin -v error -y".split(' ').chain(args.split_whitespace()).chain([name]);
    let output = run("ffmpeg", directory, words);
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    directory.join(name)
}

/// A moving picture of `seconds`, as an input.
pub(super) fn picture(size: &str, rate: u32, seconds: u32) -> String {
    format!("-f lavfi -i testsrc2=size={size}:rate={rate}:duration={seconds}")
}

/// A tone of `seconds`, as an input.
pub(super) fn tone(hertz: u32, seconds: u32) -> String {
    format!("-f lavfi -i sine=frequency={hertz}:sample_rate=44100:duration={seconds}")
}
