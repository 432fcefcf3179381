//! Small clips, made by FFmpeg for the occasion.

use std::path::Path;

use tokio::process::Command;

/// Runs FFmpeg with these words, split at spaces, in a scratch directory, and answers the file `out` that it made there.
pub(crate) async fn make(words: &str, out: &str) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    for step in words.split(" && ") {
        ffmpeg(scratch.path(), step).await;
    }
    std::fs::read(scratch.path().join(out)).unwrap()
}

async fn ffmpeg(directory: &Path, words: &str) {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-v", "error", "-y"])
        .args(words.split_whitespace())
        .current_dir(directory)
        .output()
        .await
        .expect("FFmpeg is needed for this test: `cargo xtask test` gets it");
    assert!(output.status.success(), "ffmpeg {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A moving picture with a tone: seconds, width x height, 25 frames a second.
pub(crate) async fn film(seconds: u32, size: &str) -> Vec<u8> {
    let words = format!(
        "-f lavfi -i testsrc2=d={seconds}:s={size}:r=25 -f lavfi -i sine=d={seconds}:f=440 \
         -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac out.mp4"
    );
    make(&words, "out.mp4").await
}

/// The clip with `bytes` of zeros after it, in a box that players skip.
pub(crate) fn padded(mut clip: Vec<u8>, bytes: u32) -> Vec<u8> {
    clip.extend_from_slice(&bytes.to_be_bytes());
    clip.extend_from_slice(b"free");
    clip.resize(clip.len() + bytes as usize - 8, 0);
    clip
}
