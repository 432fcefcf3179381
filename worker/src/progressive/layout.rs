//! The layout of an MP4 that FFmpeg wrote, and of the object to upload.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use mp4san::{SeekSkipAdapter, sanitize};

/// The object consists of `front`, followed by the file's bytes from `start` to `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// `ftyp` and the index with adjusted offsets; empty if the index stays at the end of the file.
    pub(super) front: Vec<u8>,
    /// Where `mdat` begins, or 0 if the index stays at the end.
    pub(super) start: u64,
    /// Where `mdat` ends and the index begins, or the end of the file if the index stays there.
    pub(super) end: u64,
}

impl Layout {
    /// The layout that moves the index of the finished `file` to the front, if possible.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        match sanitize(SeekSkipAdapter(file)) {
            Ok(sanitized) => match sanitized.metadata {
                Some(front) => {
                    let data = sanitized.data;
                    Ok(Self { front, start: data.offset, end: data.offset + data.len })
                }
                None => Ok(Self { front: Vec::new(), start: 0, end: length }),
            },
            Err(error) => {
                tracing::warn!(error = %error, "cannot move the index of an MP4 to its front; it stays at the end");
                Ok(Self { front: Vec::new(), start: 0, end: length })
            }
        }
    }

    /// The object's size in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.front.len() as u64 + (self.end - self.start)
    }
}

/// Whether `file` is an MP4 whose `mdat` has no length yet: `ftyp`, optionally `free` (eight bytes reserved for a 64-bit
/// length), and `mdat` of length 0. Returns `false` for any other structure.
pub(super) fn is_growing(file: &File) -> io::Result<bool> {
    let mut position = 0;
    loop {
        let mut header = [0; 8];
        file.read_exact_at(&mut header, position)?;
        let [a, b, c, d, kind @ ..] = header;
        let length = u32::from_be_bytes([a, b, c, d]);
        match (&kind, length) {
            (b"mdat", length) => return Ok(length == 0),
            (b"ftyp" | b"free", 8..=1024) => position += u64::from(length),
            _ => return Ok(false),
        }
    }
}
