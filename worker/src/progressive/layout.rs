//! How an MP4 that FFmpeg wrote is laid out, and how it is to be sent.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use mp4san::{SeekSkipAdapter, sanitize};

/// The object is `front`, then the file's bytes from `start` to `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// `ftyp` and the index, offsets moved; empty when the index stays at the file's end.
    pub(super) front: Vec<u8>,
    /// Where `mdat` begins.
    pub(super) start: u64,
    /// Where it ends, and the index begins.
    pub(super) end: u64,
}

impl Layout {
    /// The layout that puts the index of the finished `file` in front.
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
                tracing::warn!(error = %error, "the index of an MP4 stays at its end");
                Ok(Self { front: Vec::new(), start: 0, end: length })
            }
        }
    }

    /// The object's size.
    pub(super) fn bytes(&self) -> u64 {
        self.front.len() as u64 + (self.end - self.start)
    }
}

/// Whether `file` is an MP4 whose `mdat` has no length yet: `ftyp`, perhaps the eight bytes of `free` that keep room for a
/// 64-bit length, and `mdat` of length 0. Anything else is not as expected, and so not known to be growing.
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
