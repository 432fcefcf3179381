//! Where an export is written: an output that takes bytes, or a file that may have the beginning of it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::error::ExportError;
use super::options::Compression;

/// How many bytes at the beginning of a gzip member or a Zstandard frame show that it is one.
const MAGIC: usize = 4;

/// Takes the chunks of an export in order.
pub trait Destination {
    /// Takes the next chunk: `plain` is what its bytes `packed` mean.
    fn write(&mut self, plain: &[u8], packed: &[u8]) -> Result<(), ExportError>;

    /// Brings what was written to the operating system.
    fn flush(&mut self) -> Result<(), ExportError>;

    /// Ends the export after its last chunk.
    fn finish(&mut self) -> Result<(), ExportError>;
}

/// An output, such as standard output.
pub struct Output<W: Write>(pub W);

impl<W: Write> Destination for Output<W> {
    fn write(&mut self, _plain: &[u8], packed: &[u8]) -> Result<(), ExportError> {
        Ok(self.0.write_all(packed)?)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(self.0.flush()?)
    }

    fn finish(&mut self) -> Result<(), ExportError> {
        self.flush()
    }
}

/// A file, which may have the beginning of the export.
pub struct FileTarget {
    compression: Compression,
    /// What is there; `None` when all of it is compared.
    there: Option<There>,
    file: BufWriter<File>,
}

/// The content of the file.
struct There {
    reader: BufReader<File>,
    /// How many bytes are not compared yet.
    left: u64,
    /// How many bytes are compared.
    compared: u64,
}

impl FileTarget {
    /// Opens the file, which is created if it does not exist. What is there must be the beginning of the export.
    pub fn open(path: &Path, compression: Compression) -> io::Result<Self> {
        // Readable for its owner only: it has what all tenants do.
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        let left = file.metadata()?.len();
        let there = There { reader: BufReader::new(File::open(path)?), left, compared: 0 };
        Ok(Self {
            compression,
            there: Some(there).filter(|there| there.left > 0),
            file: BufWriter::new(file),
        })
    }

    /// Compares a chunk with what is there. Returns how many of its bytes are.
    fn compare(&mut self, plain: &[u8], packed: &[u8]) -> Result<usize, ExportError> {
        let Some(there) = &mut self.there else { return Ok(0) };
        let length = usize::try_from(there.left).unwrap_or(usize::MAX).min(packed.len());
        let mut found = vec![0; length];
        there.reader.read_exact(&mut found)?;
        let begins = there.compared;
        let is_equal = found == packed[..length];
        let length_of_magic = length.min(MAGIC);
        let has_magic = found[..length_of_magic] == packed[..length_of_magic];
        if !(is_equal || has_magic && is_beginning(self.compression, (&found, &mut there.reader), plain)?) {
            let equal = found.iter().zip(packed).take_while(|(one, other)| one == other).count() as u64;
            return Err(ExportError::OtherContent(begins + equal));
        }
        let written = if is_equal { length } else { 0 };
        there.left -= length as u64;
        there.compared += written as u64;
        if !is_equal || there.left == 0 {
            self.append_at(begins + written as u64)?;
        }
        Ok(written)
    }

    /// Goes on to write at a position, from which on the file has nothing that is needed.
    fn append_at(&mut self, position: u64) -> io::Result<()> {
        self.there = None;
        self.file.get_ref().set_len(position)?;
        self.file.seek(SeekFrom::Start(position)).map(drop)
    }
}

impl Destination for FileTarget {
    fn write(&mut self, plain: &[u8], packed: &[u8]) -> Result<(), ExportError> {
        let written = self.compare(plain, packed)?;
        if self.there.is_none() {
            self.file.write_all(&packed[written..])?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(self.file.flush()?)
    }

    fn finish(&mut self) -> Result<(), ExportError> {
        if let Some(there) = &self.there {
            return Err(ExportError::OtherContent(there.compared));
        }
        self.file.flush()?;
        Ok(self.file.get_ref().sync_all()?)
    }
}

/// Whether the last chunk of the file is the beginning of the chunk `plain`: the log had fewer commits when it was written, or its end is not
/// there.
fn is_beginning(
    compression: Compression,
    (found, rest): (&[u8], &mut impl Read),
    plain: &[u8],
) -> io::Result<bool> {
    // One more byte shows that the file has more than the chunk.
    let limit = plain.len() as u64 + 1;
    let packed = BufReader::new(found.chain(rest));
    let mut lines = Vec::new();
    let decoded = match compression {
        Compression::None => return Ok(false),
        Compression::Gzip => MultiGzDecoder::new(packed).take(limit).read_to_end(&mut lines),
        Compression::Zstd => zstd::Decoder::with_buffer(packed)?.take(limit).read_to_end(&mut lines),
    };
    match decoded {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Ok(false),
        _ => Ok(plain.starts_with(&lines)),
    }
}
