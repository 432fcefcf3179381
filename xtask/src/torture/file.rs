//! The files that are uploaded: a clip, or a file that is no video, each with bytes of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::process;

/// The words of the command that makes the clip: a second of a moving pattern with a tone.
const CLIP: &str = "-hide_banner -nostdin -v error -y -f lavfi -i testsrc2=d=1:s=160x90:r=10 -f lavfi -i sine=d=1:f=440 \
     -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac";

/// Makes the clip that all videos begin with, in the folder `work`.
pub(super) fn make_clip(work: &Path) -> Result<Vec<u8>> {
    let file = work.join("clip.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(CLIP.split_whitespace()).arg(&file);
    process::capture_ok(command)?;
    fs::read(&file).with_context(|| format!("FFmpeg made no {}", file.display()))
}

/// What a file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A clip that becomes a video, with padding.
    Clip,
    /// Bytes that no program plays.
    Noise,
}

/// A file, whose bytes follow from these fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub(super) kind: Kind,
    pub(super) seed: u64,
    /// The random bytes in it; a clip is longer.
    pub(super) random: u32,
}

impl File {
    /// Its bytes. A clip has the random bytes in a box that players ignore.
    pub(super) fn bytes(self, clip: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.kind == Kind::Clip {
            bytes.extend_from_slice(clip);
            bytes.extend_from_slice(&(self.random + 8).to_be_bytes());
            bytes.extend_from_slice(b"free");
        }
        let start = bytes.len();
        bytes.resize(start + self.random as usize, 0);
        fastrand::Rng::with_seed(self.seed).fill(&mut bytes[start..]);
        bytes
    }

    /// Its length in bytes.
    pub(super) fn length(self, clip: &[u8]) -> u64 {
        let around = if self.kind == Kind::Clip { clip.len() as u64 + 8 } else { 0 };
        around + u64::from(self.random)
    }
}

/// The SHA-256 of some bytes in hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::{File, Kind};

    #[test]
    fn the_padding_of_a_clip_is_a_box_and_the_bytes_follow_from_the_seed() {
        let file = File { kind: Kind::Clip, seed: 7, random: 1_000 };
        let bytes = file.bytes(b"clip");
        assert_eq!(bytes.len() as u64, file.length(b"clip"));
        assert_eq!(bytes[..12], *b"clip\x00\x00\x03\xf0free");
        assert_eq!(bytes, file.bytes(b"clip"));
        assert_ne!(bytes, File { seed: 8, ..file }.bytes(b"clip"));
        let noise = File { kind: Kind::Noise, ..file };
        assert_eq!((noise.bytes(b"clip").len(), noise.length(b"clip")), (1_000, 1_000));
    }
}
