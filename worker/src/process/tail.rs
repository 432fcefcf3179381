//! Keeps the end of a long output.

use std::collections::VecDeque;

/// The last 8 KiB of the pushed bytes. Bounds memory use: a hostile file can make FFmpeg log without end.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    const LIMIT: usize = 8 * 1024;

    /// Appends `bytes` and drops the oldest ones over the limit.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(&bytes[bytes.len().saturating_sub(Self::LIMIT)..]);
        let excess = self.bytes.len().saturating_sub(Self::LIMIT);
        self.bytes.drain(..excess);
    }

    /// The kept bytes as text.
    pub fn text(&self) -> String {
        let (front, back) = self.bytes.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_tail_is_the_end_of_all_pushed_bytes(chunks in prop::collection::vec("[a-z]{0,5000}", 0..8)) {
            let mut tail = Tail::default();
            for chunk in &chunks {
                tail.push(chunk.as_bytes());
            }
            let whole = chunks.concat();
            prop_assert_eq!(tail.text(), &whole[whole.len().saturating_sub(Tail::LIMIT)..]);
        }
    }
}
