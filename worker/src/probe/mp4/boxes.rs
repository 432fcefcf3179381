//! Splits bytes into boxes (ISO/IEC 14496-12, 4.2).

/// The boxes in these bytes, as kind and contents. Ends at the first one that is not complete.
pub(super) struct Boxes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = Header::parse(self.0)?;
        let end = match header.size {
            None => self.0.len(),
            Some(size) => usize::try_from(size).ok()?,
        };
        let contents = self.0.get(header.length..end)?;
        self.0 = &self.0[end..];
        Some((header.kind, contents))
    }
}

/// The header of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) struct Header {
    pub(in crate::probe) kind: [u8; 4],
    /// Bytes of this header: 8 or 16.
    pub(in crate::probe) length: usize,
    /// Bytes of the box, header included; `None` if it extends to the end of the file.
    pub(in crate::probe) size: Option<u64>,
}

impl Header {
    /// Parses the header at the beginning of `bytes`. `None` if it is not complete or states an impossible size.
    pub(in crate::probe) fn parse(bytes: &[u8]) -> Option<Self> {
        let kind = bytes.get(4..8)?.try_into().ok()?;
        let (length, size) = match u32_at(bytes, 0)? {
            0 => (8, None),
            1 => (16, Some(u64_at(bytes, 8)?)),
            size => (8, Some(u64::from(size))),
        };
        size.is_none_or(|size| size >= length as u64).then_some(Self { kind, length, size })
    }
}

/// The contents of the first box of this kind.
pub(super) fn child(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    Boxes(bytes).find(|(found, _)| *found == kind).map(|(_, contents)| contents)
}

/// The contents of the box at this path.
pub(super) fn descendant<'a>(bytes: &'a [u8], path: &[[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| child(bytes, *kind))
}

pub(super) fn u32_at(bytes: &[u8], position: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(position..position.checked_add(4)?)?.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], position: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(position..position.checked_add(8)?)?.try_into().ok()?))
}
