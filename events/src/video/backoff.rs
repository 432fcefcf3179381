//! The pause before the next attempt.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Policy;
use crate::id::VideoId;

/// The pause before the attempt that follows `attempt`, after that many failures or faults of the platform: exponential, with
/// ±20 % jitter seeded from the video and the attempt, so that replaying a decision gives the same time.
pub(super) fn pause(
    policy: &Policy,
    video_id: &VideoId,
    generation: u32,
    attempt: u32,
    setbacks: u32,
) -> Duration {
    let exponent = setbacks.saturating_sub(1).min(16);
    let full =
        policy.retry_pause.saturating_mul(4u32.saturating_pow(exponent)).min(policy.longest_retry_pause);
    let mut hasher = Sha256::new();
    hasher.update(video_id.as_str());
    hasher.update(generation.to_be_bytes());
    hasher.update(attempt.to_be_bytes());
    let digest = hasher.finalize();
    let percent = 80 + u32::from(u16::from_be_bytes([digest[0], digest[1]])) * 40 / u32::from(u16::MAX);
    full * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object_key::SourceKey;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_is_deterministic_and_within_a_fifth_of_the_full_one(generation: u32, attempt: u32, failures in 1u32..100) {
            let policy = Policy::new("raw", "processed");
            let video_id = VideoId::of(&"projects/acme/a".parse::<SourceKey>().unwrap());
            let pause = || super::pause(&policy, &video_id, generation, attempt, failures);
            let full = [5, 20, 80, 300][failures.min(4) as usize - 1];
            prop_assert_eq!(pause(), pause());
            prop_assert!(pause() >= Duration::from_secs(full) * 8 / 10);
            prop_assert!(pause() <= Duration::from_secs(full) * 12 / 10);
        }
    }
}
