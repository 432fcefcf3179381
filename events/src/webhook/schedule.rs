//! When the attempts of a delivery are made: the schedule that Standard Webhooks recommends
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::id::{MessageId, WebhookId};

/// The pauses between an attempt and the next one.
pub const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// How many attempts are made after a message was scheduled, the first one at once.
pub const ATTEMPTS: u32 = 10;

/// The longest time for which an endpoint can postpone an attempt with `Retry-After`.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// An endpoint to which every attempt has failed for this long is disabled.
pub const DISABLED_AFTER: Duration = Duration::from_hours(5 * 24);

/// For how long a secret that was replaced is used beside the new one, if nothing else is stated.
pub const SECRET_OVERLAP: Duration = Duration::from_hours(24);

/// The pause after the attempt `attempt`, counted from 1 since the message was last scheduled (`round`, counted from 1); `None` after the
/// last. A pause is up to 20 % shorter or longer, so that the messages that failed together do not all come again together. By how much is
/// derived from the delivery, so that a repeated decision is the same.
///
/// An endpoint that is busy states in `Retry-After` when it wants the next attempt. It can postpone it, by up to
/// [`LONGEST_RETRY_AFTER`], and cannot make it earlier.
pub(super) fn pause(
    webhook_id: &WebhookId,
    message_id: &MessageId,
    round: u32,
    attempt: u32,
    retry_after: Option<Duration>,
) -> Option<Duration> {
    let full = *PAUSES.get(usize::try_from(attempt.checked_sub(1)?).ok()?)?;
    let mut hasher = Sha256::new();
    hasher.update(webhook_id.as_str());
    hasher.update(message_id.as_str());
    hasher.update(round.to_be_bytes());
    hasher.update(attempt.to_be_bytes());
    let digest = hasher.finalize();
    let share = u32::from(u16::from_be_bytes([digest[0], digest[1]]));
    let jittered = full * 8 / 10 + full * 4 / 10 * share / u32::from(u16::MAX);
    Some(jittered.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(number: u32) -> (WebhookId, MessageId) {
        (WebhookId::derived_from(&[b"a"]), MessageId::derived_from(&[&number.to_string()]))
    }

    proptest! {
        #[test]
        fn a_pause_is_within_a_fifth_of_the_schedule_and_not_before_retry_after(
            message: u32, round in 1u32..5, attempt in 1u32..12, seconds in prop::option::of(0u64..200_000),
        ) {
            let (webhook_id, message_id) = ids(message);
            let retry_after = seconds.map(Duration::from_secs);
            let pause = || super::pause(&webhook_id, &message_id, round, attempt, retry_after);
            prop_assert_eq!(pause(), pause());
            let Some(pause) = pause() else {
                prop_assert!(attempt >= ATTEMPTS);
                return Ok(());
            };
            prop_assert!(attempt < ATTEMPTS);
            let full = PAUSES[attempt as usize - 1];
            let postponed = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
            prop_assert!(pause >= full * 8 / 10 && pause >= postponed);
            prop_assert!(pause <= (full * 12 / 10).max(postponed));
        }
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range() {
        let shares: Vec<f64> = (0..1000)
            .map(|number| {
                let (webhook_id, message_id) = ids(number);
                let pause = pause(&webhook_id, &message_id, 1, 9, None).unwrap();
                pause.as_secs_f64() / PAUSES[8].as_secs_f64()
            })
            .collect();
        for decile in 0..10 {
            let (from, to) = (0.8 + 0.04 * f64::from(decile), 0.8 + 0.04 * f64::from(decile + 1));
            let count = shares.iter().filter(|share| (from..to).contains(*share)).count();
            assert!((50..200).contains(&count), "{count} of 1,000 pauses are from {from} to {to}");
        }
        let total: Duration = PAUSES.iter().sum();
        assert_eq!(PAUSES.len() as u64 + 1, u64::from(ATTEMPTS));
        assert_eq!(total.as_secs() / 3600, 75, "the last attempt is made after three days");
    }
}
