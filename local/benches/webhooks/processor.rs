//! The processor time of this process.

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};

/// Processor time, in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Spent(i64);

impl Spent {
    /// What this process has spent so far.
    pub(crate) fn now() -> Result<Self> {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let Some(nanos) = time.tv_sec.checked_mul(1_000_000_000) else {
            bail!("the processor time is too long")
        };
        Ok(Self(nanos + time.tv_nsec))
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self(self.0 - before.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52")]
    pub(crate) fn micros(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}
