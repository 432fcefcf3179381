//! What a project had used of its limits on uploads when it was last measured: what is known where an upload URL is requested.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Limit, ProjectLimits};
use crate::day::Day;
use crate::media::VideoError;
use crate::timestamp::Timestamp;
use crate::usage::UsageCounters;

/// How long a measurement is used. Nothing is refused because of an older one, so that what is not measured again, like a change of the
/// deployment's limits, takes effect after this time.
pub const USED_FOR: Duration = Duration::from_hours(1);

/// A change of what is left of a limit is recorded if it reaches another of so many equal parts of the limit.
const PARTS: u128 = 16;

/// A limit, and what was used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredLimit {
    /// The limit.
    pub limit: u64,
    /// What was used of it.
    pub used: u64,
}

impl MeasuredLimit {
    fn of(limit: Limit, used: u64) -> Option<Self> {
        match limit {
            Limit::AtMost(limit) => Some(Self { limit, used }),
            Limit::Unlimited => None,
        }
    }

    /// How many parts of the limit are left, rounded up: 0 exactly if nothing is left.
    fn parts_left(self) -> u128 {
        let left = u128::from(self.limit.saturating_sub(self.used));
        (left * PARTS).div_ceil(u128::from(self.limit.max(1)))
    }
}

/// What a project had used of its limits on uploads, at one time. Those that it does not have are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredUse {
    /// When it was measured.
    pub measured_at: Timestamp,
    /// Bytes of accepted uploads on that day (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<MeasuredLimit>,
    /// Minutes of sources that became videos on that day (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_per_day: Option<MeasuredLimit>,
    /// Bytes of sources that were stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<MeasuredLimit>,
}

impl MeasuredUse {
    /// What is used of `limits` at `now`, when the project has used `today` on this day and has `stored_bytes`.
    pub fn of(limits: &ProjectLimits, today: &UsageCounters, stored_bytes: u64, now: Timestamp) -> Self {
        Self {
            measured_at: now,
            bytes_per_day: MeasuredLimit::of(limits.bytes_per_day, today.bytes_uploaded),
            minutes_per_day: MeasuredLimit::of(limits.minutes_per_day, today.source_minutes()),
            stored_bytes: MeasuredLimit::of(limits.stored_bytes, stored_bytes),
        }
    }

    fn all(&self) -> [Option<MeasuredLimit>; 3] {
        [self.bytes_per_day, self.minutes_per_day, self.stored_bytes]
    }

    /// Whether this measurement is to be recorded after the one that was recorded last: it differs in a limit, in the part that is left of
    /// one, or with `exactly` in anything that is used; or the other is no longer used, or of another day.
    pub fn is_news_after(&self, last: Option<&Self>, exactly: bool) -> bool {
        let Some(last) = last else { return self.all().iter().any(Option::is_some) };
        let differs = |(new, old): (Option<MeasuredLimit>, Option<MeasuredLimit>)| match (new, old) {
            (Some(new), Some(old)) => {
                new.limit != old.limit
                    || new.parts_left() != old.parts_left()
                    || (exactly && new.used != old.used)
            }
            (new, old) => new != old,
        };
        let is_over =
            !last.is_used_at(self.measured_at) || Day::of(last.measured_at) != Day::of(self.measured_at);
        self.all().into_iter().zip(last.all()).any(differs)
            || (is_over && self.all().iter().any(Option::is_some))
    }

    /// Why an upload of `bytes` exceeds the limits at `now`, if nothing was deleted and no limit raised since. `None` if the measurement does
    /// not tell.
    pub fn refuse_upload(&self, bytes: u64, now: Timestamp) -> Option<VideoError> {
        if !self.is_used_at(now) {
            return None;
        }
        let is_today = Day::of(now) == Day::of(self.measured_at);
        let limit =
            |measured: Option<MeasuredLimit>| measured.map_or(Limit::Unlimited, |it| Limit::AtMost(it.limit));
        let used = |measured: Option<MeasuredLimit>| measured.map_or(0, |it| it.used);
        let limits = ProjectLimits {
            bytes_per_day: limit(self.bytes_per_day.filter(|_| is_today)),
            minutes_per_day: limit(self.minutes_per_day.filter(|_| is_today)),
            stored_bytes: limit(self.stored_bytes),
            ..ProjectLimits::UNLIMITED
        };
        let today = UsageCounters {
            bytes_uploaded: used(self.bytes_per_day),
            source_milliseconds: UsageCounters::milliseconds_of_minutes(used(self.minutes_per_day)),
            ..UsageCounters::default()
        };
        limits.refuse_upload(bytes, &today, used(self.stored_bytes), now)
    }

    fn is_used_at(&self, now: Timestamp) -> bool {
        now.since(self.measured_at) <= USED_FOR
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_limit() -> impl Strategy<Value = Limit> {
        prop_oneof![Just(Limit::Unlimited), (0u64..200).prop_map(Limit::AtMost)]
    }

    fn any_limits() -> impl Strategy<Value = ProjectLimits> {
        (any_limit(), any_limit(), any_limit()).prop_map(|(bytes_per_day, minutes_per_day, stored_bytes)| {
            ProjectLimits { bytes_per_day, minutes_per_day, stored_bytes, ..ProjectLimits::UNLIMITED }
        })
    }

    fn used(bytes: u64, minutes: u64) -> UsageCounters {
        UsageCounters {
            bytes_uploaded: bytes,
            source_milliseconds: minutes * 60_000 + 59_999,
            ..UsageCounters::default()
        }
    }

    fn noon(milliseconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_355_200_000 + milliseconds)
    }

    proptest! {
        /// The same is refused, with the same words, as after the upload.
        #[test]
        fn a_measurement_refuses_what_the_limits_refuse_at_its_time(
            limits in any_limits(), bytes in 0u64..200, uploaded in 0u64..200, minutes in 0u64..200, stored in 0u64..200,
        ) {
            let today = used(uploaded, minutes);
            let measured = MeasuredUse::of(&limits, &today, stored, noon(0));
            prop_assert_eq!(
                measured.refuse_upload(bytes, noon(0)),
                limits.refuse_upload(bytes, &today, stored, noon(0))
            );
        }

        /// Nothing is refused that the check after the upload would accept, while nothing is deleted.
        #[test]
        fn what_is_refused_later_exceeds_the_limits_then_too(
            limits in any_limits(), bytes in 0u64..200, before in [0u64..200, 0u64..200, 0u64..200],
            more in [0u64..50, 0u64..50, 0u64..50], hour in 0i64..13, later in 0i64..2 * 3_600_000,
        ) {
            let start = noon(hour * 3_600_000 - 1_800_000);
            let measured = MeasuredUse::of(&limits, &used(before[0], before[1]), before[2], start);
            let now = start.plus(Duration::from_millis(later.unsigned_abs()));
            let is_today = Day::of(now) == Day::of(start);
            let so_far = |index: usize| more[index] + if is_today { before[index] } else { 0 };
            let then = limits.refuse_upload(bytes, &used(so_far(0), so_far(1)), before[2] + more[2], now);
            let refused = measured.refuse_upload(bytes, now);
            prop_assert!(refused.is_none() || then.is_some());
            prop_assert!(refused.is_none() || later <= 3_600_000, "an old measurement refuses nothing");
        }

        /// Where nothing is to be recorded, what is recorded refuses the same but for a sixteenth of a limit.
        #[test]
        fn a_measurement_that_is_not_news_differs_by_less_than_a_part_of_the_limit(
            limits in any_limits(), bytes in 0u64..200,
            uses in [(0u64..200, 0u64..200, 0u64..200), (0u64..200, 0u64..200, 0u64..200)],
        ) {
            let [last, new] = uses.map(|(uploaded, minutes, stored)| {
                MeasuredUse::of(&limits, &used(uploaded, minutes), stored, noon(0))
            });
            let refuses = |measured: &MeasuredUse, bytes: u64| measured.refuse_upload(bytes, noon(0)).is_some();
            if !new.is_news_after(Some(&last), false) {
                // A part of the greatest limit.
                let part = 200 / 16 + 1;
                prop_assert!(!refuses(&new, bytes) || refuses(&last, bytes + part));
                prop_assert_eq!(refuses(&new, 1) && new.parts() == 0, refuses(&last, 1) && last.parts() == 0);
            }
            if !new.is_news_after(Some(&last), true) {
                prop_assert_eq!(refuses(&new, bytes), refuses(&last, bytes));
            }
        }

        #[test]
        fn filling_a_limit_is_recorded_a_few_times_only(limit in 1u64..1 << 50, steps in 1u64..300) {
            let limits = ProjectLimits { stored_bytes: Limit::AtMost(limit), ..ProjectLimits::UNLIMITED };
            let (mut last, mut recorded) = (None, 0);
            for step in 0..=steps {
                let stored = u64::try_from(u128::from(limit) * u128::from(step) / u128::from(steps)).unwrap();
                let measured = MeasuredUse::of(&limits, &used(0, 0), stored, noon(0));
                if measured.is_news_after(last.as_ref(), false) {
                    (last, recorded) = (Some(measured), recorded + 1);
                }
            }
            prop_assert!(recorded <= 17);
            let last = last.unwrap();
            prop_assert!(last.refuse_upload(1, noon(0)).is_some(), "that nothing is left is recorded");
        }
    }

    impl MeasuredUse {
        /// The least number of parts that are left of a limit.
        fn parts(&self) -> u128 {
            self.all().into_iter().flatten().map(MeasuredLimit::parts_left).min().unwrap_or(PARTS)
        }
    }

    #[test]
    fn a_measurement_is_recorded_for_the_first_limits_and_when_they_change_or_end_or_it_is_old() {
        let limits = |stored_bytes| ProjectLimits { stored_bytes, ..ProjectLimits::UNLIMITED };
        let measured = |limit, at| MeasuredUse::of(&limits(limit), &used(0, 0), 10, noon(at));
        let full = measured(Limit::AtMost(10), 0);
        assert!(!measured(Limit::Unlimited, 0).is_news_after(None, true), "it has no limits");
        assert!(full.is_news_after(None, false));
        assert!(!measured(Limit::AtMost(10), 3_600_000).is_news_after(Some(&full), true));
        assert!(measured(Limit::AtMost(10), 3_600_001).is_news_after(Some(&full), false));
        assert!(
            measured(Limit::AtMost(10), 12 * 3_600_000).is_news_after(Some(&full), false),
            "the next day"
        );
        assert!(measured(Limit::AtMost(11), 0).is_news_after(Some(&full), false));
        let none = measured(Limit::Unlimited, 0);
        assert!(none.is_news_after(Some(&full), false));
        let later = measured(Limit::Unlimited, 7_200_000);
        assert!(!later.is_news_after(Some(&none), false), "without limits nothing is recorded again");
    }
}
