//! Makes small test clips with FFmpeg.

use std::path::Path;

use tokio::process::Command;

/// Runs FFmpeg in a temporary directory with arguments split at whitespace (several commands separated by ` && `), and returns
/// the bytes of the file `out` that it wrote there.
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
        .expect("this test needs FFmpeg, which `cargo xtask test` installs");
    assert!(output.status.success(), "ffmpeg {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A moving test pattern with a tone, 25 fps. `size` is `WIDTHxHEIGHT`.
pub(crate) async fn video_with_audio(seconds: u32, size: &str) -> Vec<u8> {
    let words = format!(
        "-f lavfi -i testsrc2=d={seconds}:s={size}:r=25 -f lavfi -i sine=d={seconds}:f=440 \
         -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac out.mp4"
    );
    make(&words, "out.mp4").await
}

/// Appends `bytes` of padding to the clip, in a box that players ignore.
pub(crate) fn padded(mut clip: Vec<u8>, bytes: u32) -> Vec<u8> {
    clip.extend_from_slice(&bytes.to_be_bytes());
    clip.extend_from_slice(b"free");
    clip.resize(clip.len() + bytes as usize - 8, 0);
    clip
}
