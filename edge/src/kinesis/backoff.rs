use std::time::Duration;

use sha2::{Digest, Sha256};

/// Exponential backoff of failed records and messages. Jitter from a seed shortens every pause by up to half, so that
/// concurrent failures are not retried at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The maximum number of attempts to send a record within one batch, at least 1.
    pub tries: u32,
    /// The pause before the second attempt; each further pause is twice as long.
    pub first_pause: Duration,
    /// The longest pause between attempts.
    pub longest_pause: Duration,
    /// The delay of a message in the queue after its first failed delivery; it doubles after each further one.
    pub first_return: Duration,
    /// The longest delay of a message in the queue.
    pub longest_return: Duration,
}

impl Default for Backoff {
    /// 3 attempts with pauses of about 200 and 400 ms, and delays in the queue of about 5, 10, 20, … seconds, at most 5 minutes.
    /// A message is delivered about four times during an outage of one minute.
    fn default() -> Self {
        Self {
            tries: 3,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(2),
            first_return: Duration::from_secs(5),
            longest_return: Duration::from_mins(5),
        }
    }
}

impl Backoff {
    /// Returns the pause after `failed` attempts, at least 1.
    pub(super) fn pause(&self, failed: u32, seed: [u8; 32]) -> Duration {
        with_jitter(doubled(self.first_pause, failed, self.longest_pause), seed, "pause", u64::from(failed))
    }

    /// Returns the delay in the queue of the message at `index` of the batch, after `attempts` deliveries, at least 1.
    pub(super) fn queue_delay(&self, attempts: u32, index: usize, seed: [u8; 32]) -> Duration {
        with_jitter(doubled(self.first_return, attempts, self.longest_return), seed, "return", index as u64)
    }
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 1u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// Returns a time between half of `duration` and `duration`, derived from the seed, `of` and `number`.
fn with_jitter(duration: Duration, seed: [u8; 32], of: &str, number: u64) -> Duration {
    let digest =
        Sha256::new().chain_update(seed).chain_update(of).chain_update(number.to_be_bytes()).finalize();
    let part = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    duration / 2 + (duration / 2).mul_f64(f64::from(part) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_grow_to_their_limit_and_jitter_is_at_most_half(seed: [u8; 32], failed in 1u32.., index: usize) {
            let backoff = Backoff::default();
            let pause = backoff.pause(failed, seed);
            let stated = Duration::from_millis(200 << (failed - 1).min(4)).min(backoff.longest_pause);
            prop_assert!(pause >= stated / 2 && pause <= stated, "{pause:?} of {stated:?}");
            let stated = Duration::from_secs(5 << (failed - 1).min(6)).min(backoff.longest_return);
            let back = backoff.queue_delay(failed, index, seed);
            prop_assert!(back >= stated / 2 && back <= stated, "{back:?} of {stated:?}");
            prop_assert_eq!(pause, backoff.pause(failed, seed));
        }
    }

    #[test]
    fn messages_that_failed_together_have_different_delays() {
        let backoff = Backoff::default();
        let returns: std::collections::BTreeSet<Duration> =
            (0..100).map(|index| backoff.queue_delay(1, index, [7; 32])).collect();
        assert_eq!(returns.len(), 100);
    }
}
