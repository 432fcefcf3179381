//! Short clips, made by FFmpeg for the occasion.

use std::process::Command;
use std::sync::OnceLock;

/// One second of a moving picture with a tone, 320x180.
pub(crate) fn film() -> Vec<u8> {
    static FILM: OnceLock<Vec<u8>> = OnceLock::new();
    FILM.get_or_init(|| make("320x180")).clone()
}

/// Another one, 160x90.
pub(crate) fn other_film() -> Vec<u8> {
    static FILM: OnceLock<Vec<u8>> = OnceLock::new();
    FILM.get_or_init(|| make("160x90")).clone()
}

fn make(size: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let words = format!(
        "-hide_banner -nostdin -v error -f lavfi -i testsrc2=d=1:s={size}:r=25 -f lavfi -i sine=d=1:f=440 \
         -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac out.mp4"
    );
    let output = Command::new("ffmpeg")
        .args(words.split_whitespace())
        .current_dir(folder.path())
        .output()
        .expect("FFmpeg is needed for this test: `cargo xtask test` gets it");
    assert!(output.status.success(), "ffmpeg {words}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(folder.path().join("out.mp4")).unwrap()
}
