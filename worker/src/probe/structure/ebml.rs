//! Matroska and WebM (RFC 8794, RFC 9559).

use std::sync::Arc;

use super::tail::{self, End};
use super::{MediaEnd, Structure};
use crate::relay::Source;
use crate::storage::StorageError;

pub(super) const SIGNATURE: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_ae6b;
const CLUSTER: u64 = 0x1f43_b675;
const TRACK_ENTRY: u64 = 0xae;
const CONTENT_ENCODINGS: u64 = 0x6d80;
const CONTENT_ENCODING: u64 = 0x6240;
const CONTENT_ENCRYPTION: u64 = 0x5035;

pub(super) fn read(head: &[u8], bytes: u64) -> Structure {
    let mut structure = Structure::default();
    let Some(header) = Element::parse(head) else {
        return Structure { is_cut: head.len() as u64 == bytes, ..structure };
    };
    let start = header.length as u64 + header.size.unwrap_or(0);
    let segment = usize::try_from(start).ok().and_then(|start| head.get(start..));
    let Some((segment, element)) = segment.and_then(|rest| Some((rest, Element::parse(rest)?))) else {
        return Structure { is_cut: start + 12 > bytes, ..structure };
    };
    if element.id != SEGMENT {
        return structure;
    }
    // The size of a live recording is unknown.
    structure.end = MediaEnd::stated_if(element.size.is_some());
    structure.is_cut =
        element.size.is_some_and(|size| (start + element.length as u64).saturating_add(size) > bytes);
    let children = Elements(&segment[element.length..]).take_while(|(id, _)| *id != CLUSTER);
    let is = |wanted: u64| move |(id, contents)| (id == wanted).then_some(contents);
    structure.is_encrypted = children
        .filter_map(is(TRACKS))
        .flat_map(|tracks| Elements(tracks).filter_map(is(TRACK_ENTRY)))
        .flat_map(|track| Elements(track).filter_map(is(CONTENT_ENCODINGS)))
        .flat_map(|encodings| Elements(encodings).filter_map(is(CONTENT_ENCODING)))
        .any(|encoding| Elements(encoding).any(|(id, _)| id == CONTENT_ENCRYPTION));
    structure
}

/// Whether the file states no length, because it was written while it was recorded.
pub(super) fn is_live(head: &[u8]) -> bool {
    let segment = || {
        let header = Element::parse(head)?;
        let start = header.length as u64 + header.size?;
        Element::parse(head.get(usize::try_from(start).ok()?..)?)
    };
    segment().is_some_and(|segment| segment.id == SEGMENT && segment.size.is_none())
}

/// The elements that a cluster begins with: its time, its place, its length or a checksum.
const FIRST_IN_CLUSTER: [u8; 4] = [0xe7, 0xa7, 0xab, 0xbf];

/// Whether a live recording ends within an element of its last cluster; `None` if that cannot be found.
pub(super) async fn is_cut(source: &Source) -> Result<Option<bool>, Arc<StorageError>> {
    let is_cluster = |bytes: &[u8]| {
        Element::parse(bytes).is_some_and(|element| {
            element.id == CLUSTER
                && bytes.get(element.length).is_some_and(|first| FIRST_IN_CLUSTER.contains(first))
        })
    };
    let Some(cluster) = tail::last_fragment(source, 13, is_cluster).await? else { return Ok(None) };
    let bytes = source.bytes();
    let end = |header: &[u8], position: u64| match Element::parse(header) {
        // Elements of unknown size contain what follows.
        Some(element) => {
            End::At((position + element.length as u64).saturating_add(element.size.unwrap_or(0)))
        }
        None if header[0] != 0 && bytes - position < 12 => End::Cut,
        None => End::Unknown,
    };
    tail::is_cut(source, cluster, end).await
}

/// The header of an element.
struct Element {
    id: u64,
    /// Bytes of this header.
    length: usize,
    /// Bytes of the contents; `None` if unknown.
    size: Option<u64>,
}

impl Element {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (id_length, id) = number(bytes, 4)?;
        let (size_length, size) = number(&bytes[id_length..], 8)?;
        let marker = 1 << (7 * size_length);
        let size = size & (marker - 1);
        Some(Self { id, length: id_length + size_length, size: (size != marker - 1).then_some(size) })
    }
}

/// A number of variable length with its marker bit, and its length in bytes.
fn number(bytes: &[u8], longest: usize) -> Option<(usize, u64)> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    let number = bytes.get(..length).filter(|_| length <= longest)?;
    Some((length, number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))))
}

/// The elements in these bytes, as id and contents. Ends at the first one that is not complete.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let element = Element::parse(self.0)?;
        let end = element.length.checked_add(usize::try_from(element.size?).ok()?)?;
        let contents = self.0.get(element.length..end)?;
        self.0 = &self.0[end..];
        Some((element.id, contents))
    }
}
