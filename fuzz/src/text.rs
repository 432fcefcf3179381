//! Parts of an input.

/// The input as text; `None` if it is not UTF-8.
pub(crate) fn of(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// The first `N` lines of an input and the rest after them. Missing lines are empty.
pub(crate) fn lines<const N: usize>(mut data: &[u8]) -> ([&[u8]; N], &[u8]) {
    let mut lines = [&[][..]; N];
    for line in &mut lines {
        let end = data.iter().position(|byte| *byte == b'\n');
        *line = &data[..end.unwrap_or(data.len())];
        data = end.map_or(&[], |end| &data[end + 1..]);
    }
    (lines, data)
}

/// The number that a line states; 0 if it is none.
pub(crate) fn number(line: &[u8]) -> u64 {
    of(line).and_then(|text| text.parse().ok()).unwrap_or(0)
}
