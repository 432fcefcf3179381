//! Randomness of the host, fetched for many requests at once: each crossing of the boundary costs.

use std::fmt;

const SHARE: usize = 32;
const STOCK: usize = 64 * SHARE;

/// Random bytes in stock.
pub(super) struct Random {
    stock: [u8; STOCK],
    used: usize,
}

impl Random {
    /// An empty stock: where an isolate begins, the host gives none yet.
    pub(super) fn new() -> Self {
        Self { stock: [0; STOCK], used: STOCK }
    }

    /// Bytes that were never handed out before.
    pub(super) fn take(&mut self) -> [u8; SHARE] {
        if self.used == STOCK {
            getrandom::fill(&mut self.stock).expect("the host has random bytes while it handles an event");
            self.used = 0;
        }
        let mut share = [0; SHARE];
        // What was handed out must not be found here later.
        share.swap_with_slice(&mut self.stock[self.used..self.used + SHARE]);
        self.used += SHARE;
        share
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Random").finish_non_exhaustive()
    }
}
