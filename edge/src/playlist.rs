//! HLS playlists whose URIs are rewritten for a viewer, so that a player that only follows URIs keeps the viewer's signature.
//!
//! [`rewrite`] makes every URI of the CDN absolute and adds the viewer's query to it: playlists lead to `/play` of the edge, which
//! rewrites them in turn, everything else leads to the CDN. All other text stays as it is, byte for byte.
//! <https://www.rfc-editor.org/rfc/rfc8216>, <https://datatracker.ietf.org/doc/html/draft-pantos-hls-rfc8216bis>
//!
//! The format is read line by line. The parsers that exist write a new playlist from what they understood, which would change
//! or lose tags that they do not know ([decision 16](../../../docs/adr/0016-the-edge-rewrites-playlists.md)).

mod attributes;
mod links;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use links::Links;
use memchr::memchr_iter;

use self::attributes::{Attribute, Attributes};

/// The largest playlist that is read, in bytes. A playlist of 12 hours in segments of four seconds has about half of it.
pub const MAX_SOURCE_BYTES: usize = 1024 * 1024;

/// The largest rewritten playlist, in bytes. A query adds several hundred bytes to each URI.
pub const MAX_REWRITTEN_BYTES: usize = 16 * 1024 * 1024;

/// Why a text cannot be rewritten. Contains nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRewritten {
    /// The text does not begin with `#EXTM3U`.
    #[error("is not an HLS playlist: it does not begin with #EXTM3U")]
    NotAPlaylist,
    /// The text is larger than [`MAX_SOURCE_BYTES`].
    #[error("is larger than {MAX_SOURCE_BYTES} bytes")]
    TooLarge,
    /// The result would be larger than [`MAX_REWRITTEN_BYTES`].
    #[error("is larger than {MAX_REWRITTEN_BYTES} bytes with the signature in each URI")]
    TooLargeWithSignatures,
    /// A URI is invalid or has variables (`{$…}`), so that players would resolve it differently.
    #[error("has an invalid URI in line {line}")]
    InvalidUri {
        /// The number of the line; the first line is 1.
        line: usize,
    },
}

/// Returns the playlist `source` with rewritten URIs.
///
/// Relative URIs and those of the CDN's origin are rewritten. URIs of other origins and other schemes (`data:`, `skd:`) must not
/// get the signature and lead where they led before.
///
/// # Errors
/// [`NotRewritten`] if `source` is not a playlist, is too large, or has a URI that players would resolve differently.
pub fn rewrite(source: &[u8], links: &Links<'_>) -> Result<Vec<u8>, NotRewritten> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(NotRewritten::TooLarge);
    }
    let after = source.strip_prefix(b"#EXTM3U").ok_or(NotRewritten::NotAPlaylist)?;
    if !after.first().is_none_or(u8::is_ascii_whitespace) {
        return Err(NotRewritten::NotAPlaylist);
    }
    let mut out = Rewritten::new(source, links);
    let ends = memchr_iter(b'\n', source).map(|at| at + 1).chain([source.len()]);
    let mut line_at = 0;
    for (index, end) in ends.enumerate() {
        let line = &source[line_at..end];
        write_line(&mut out, line_at, line).ok_or(NotRewritten::InvalidUri { line: index + 1 })?;
        if out.text.len() > MAX_REWRITTEN_BYTES {
            return Err(NotRewritten::TooLargeWithSignatures);
        }
        line_at = end;
    }
    out.keep_until(source.len());
    if out.text.len() > MAX_REWRITTEN_BYTES {
        return Err(NotRewritten::TooLargeWithSignatures);
    }
    Ok(out.text)
}

/// A playlist of which the beginning is rewritten. What stays is copied in runs, not line by line: a call for each copy costs more
/// than the copy.
struct Rewritten<'a> {
    source: &'a [u8],
    links: &'a Links<'a>,
    text: Vec<u8>,
    /// How many bytes of `source` are in `text`, as they were or as another URI.
    read: usize,
}

impl<'a> Rewritten<'a> {
    fn new(source: &'a [u8], links: &'a Links<'a>) -> Self {
        let capacity = expected_length(source, links).min(MAX_REWRITTEN_BYTES);
        Self { source, links, text: Vec::with_capacity(capacity), read: 0 }
    }

    /// Copies the source up to `end`.
    fn keep_until(&mut self, end: usize) {
        self.text.extend_from_slice(&self.source[self.read..end]);
        self.read = end;
    }

    /// Copies the source up to the URI at `uri`, and writes where that leads. `None` if it cannot be resolved.
    fn write_uri(&mut self, uri: Range<usize>) -> Option<()> {
        self.keep_until(uri.start);
        self.read = uri.end;
        self.links.write(&mut self.text, &self.source[uri])
    }
}

/// An estimate of the result's length that is rarely too small, so that the text is not copied while it grows. In a media
/// playlist every second line is a URI.
fn expected_length(source: &[u8], links: &Links<'_>) -> usize {
    let line_count = memchr_iter(b'\n', source).count();
    source.len() + (line_count / 2 + 8) * links.longest_addition()
}

/// Rewrites the URIs in `line`, which is at `line_at`. `None` if one cannot be resolved.
fn write_line(out: &mut Rewritten<'_>, line_at: usize, line: &[u8]) -> Option<()> {
    if line.starts_with(b"#EXT") {
        return write_tag(out, line_at, line);
    }
    let uri = line.trim_ascii();
    if uri.is_empty() || uri.starts_with(b"#") {
        return Some(());
    }
    let start = line_at + (line.len() - line.trim_ascii_start().len());
    out.write_uri(start..start + uri.len())
}

/// Rewrites the URIs in the attributes of `tag`, which is at `tag_at`.
fn write_tag(out: &mut Rewritten<'_>, tag_at: usize, tag: &[u8]) -> Option<()> {
    // The most frequent tag; it has no attributes, but a title, which can be any text.
    let list_at = if tag.starts_with(b"#EXTINF") { None } else { tag.iter().position(|byte| *byte == b':') };
    let Some(list_at) = list_at else { return Some(()) };
    for Attribute { name, value } in Attributes::new(tag, list_at + 1) {
        if is_uri(&tag[name]) {
            out.write_uri(tag_at + value.start..tag_at + value.end)?;
        }
    }
    Some(())
}

/// Whether the attribute of this name is a URI: `URI` of most tags, `SERVER-URI` of `EXT-X-CONTENT-STEERING`, `X-ASSET-URI` and
/// `X-ASSET-LIST` of interstitials.
fn is_uri(name: &[u8]) -> bool {
    name == b"URI" || name.ends_with(b"-URI") || name == b"X-ASSET-LIST"
}
