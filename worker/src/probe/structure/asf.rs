//! WMV and WMA (Advanced Systems Format).

use super::{MediaEnd, Structure};

pub(super) const SIGNATURE: [u8; 16] =
    [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0x00, 0xaa, 0x00, 0x62, 0xce, 0x6c];
const FILE_PROPERTIES: [u8; 16] =
    [0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11, 0x8e, 0xe4, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65];
/// The objects for content encryption: plain, extended and advanced.
const ENCRYPTION: [[u8; 16]; 3] = [
    [0xfb, 0xb3, 0x11, 0x22, 0x23, 0xbd, 0xd2, 0x11, 0xb4, 0xb7, 0x00, 0xa0, 0xc9, 0x55, 0xfc, 0x6e],
    [0x14, 0xe6, 0x8a, 0x29, 0x22, 0x26, 0x17, 0x4c, 0xb9, 0x35, 0xda, 0xe0, 0x7e, 0xe9, 0x28, 0x9c],
    [0xb6, 0x9b, 0x07, 0x7a, 0xa4, 0xda, 0x12, 0x4e, 0xa5, 0xca, 0x91, 0xd3, 0x8d, 0xc1, 0x1a, 0x8d],
];

/// Bytes of the header object before the first object in it.
const HEADER: usize = 30;

pub(super) fn read(head: &[u8], bytes: u64) -> Structure {
    let mut structure = Structure::default();
    let number = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
    let mut rest = head.get(HEADER..).unwrap_or_default();
    let header_end = head.get(16..24).and_then(number).unwrap_or(0);
    let mut position = HEADER as u64;
    while position < header_end
        && let (Some(id), Some(size)) = (rest.get(..16), rest.get(16..24).and_then(number))
    {
        structure.is_encrypted |= ENCRYPTION.iter().any(|object| object == id);
        if id == FILE_PROPERTIES
            && let (Some(stated), Some(flags)) = (rest.get(40..48).and_then(number), rest.get(88))
        {
            let is_broadcast = flags & 1 != 0;
            structure.end = MediaEnd::stated_if(!is_broadcast);
            structure.is_cut = !is_broadcast && stated > bytes;
        }
        let Some(next) =
            usize::try_from(size).ok().filter(|size| *size >= 24).and_then(|size| rest.get(size..))
        else {
            break;
        };
        (rest, position) = (next, position + size);
    }
    structure
}
