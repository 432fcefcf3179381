//! Random bytes of the runtime, fetched for many requests at once, because each call from Wasm to JavaScript is expensive.

use std::fmt;

const SHARE: usize = 32;
const BUFFER_BYTES: usize = 64 * SHARE;

/// Buffered random bytes.
pub(super) struct Random {
    buffer: [u8; BUFFER_BYTES],
    used: usize,
}

impl Random {
    /// An empty buffer: the runtime gives no random bytes while an isolate starts.
    pub(super) fn new() -> Self {
        Self { buffer: [0; BUFFER_BYTES], used: BUFFER_BYTES }
    }

    /// Returns bytes that were never returned before.
    pub(super) fn take(&mut self) -> [u8; SHARE] {
        if self.used == BUFFER_BYTES {
            getrandom::fill(&mut self.buffer)
                .expect("the runtime has random bytes while it handles an event");
            self.used = 0;
        }
        let mut share = [0; SHARE];
        // Returned bytes must not stay in memory.
        share.swap_with_slice(&mut self.buffer[self.used..self.used + SHARE]);
        self.used += SHARE;
        share
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Random").finish_non_exhaustive()
    }
}
