//! Reads an export, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// How a gzip member begins (RFC 1952).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// How a Zstandard frame begins (RFC 8878).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Returns the lines of the export in a file. Its first bytes show how it is compressed.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    lines(BufReader::new(File::open(path)?))
}

pub(super) fn lines(mut file: impl BufRead + 'static) -> io::Result<Box<dyn BufRead>> {
    let beginning = file.fill_buf()?;
    Ok(if beginning.starts_with(GZIP) {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else if beginning.starts_with(ZSTD) {
        Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?))
    } else {
        Box::new(file)
    })
}
