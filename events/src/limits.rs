//! The limits of a project's use.

mod measured;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::measured::{MeasuredLimit, MeasuredUse, USED_FOR};
use crate::day::Day;
use crate::digits;
use crate::media::VideoError;
use crate::timestamp::Timestamp;
use crate::usage::UsageCounters;

/// How much of something a project may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// At most this much.
    AtMost(u64),
    /// As much as it wants.
    Unlimited,
}

/// Text that is not a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a limit: a whole number, or `unlimited`")]
pub struct InvalidLimit;

const UNLIMITED: &str = "unlimited";

impl Limit {
    /// Whether `amount` is more than the limit.
    pub fn is_exceeded_by(self, amount: u64) -> bool {
        self < Self::AtMost(amount)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(amount) => amount.fmt(formatter),
            Self::Unlimited => formatter.write_str(UNLIMITED),
        }
    }
}

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == UNLIMITED {
            return Ok(Self::Unlimited);
        }
        digits::number(text).map(Self::AtMost).ok_or(InvalidLimit)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AtMost(amount) => serializer.serialize_u64(*amount),
            Self::Unlimited => serializer.serialize_str(UNLIMITED),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Number(u64),
            Text(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Number(amount) => Ok(Self::AtMost(amount)),
            Wire::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

macro_rules! limits {
    ($($(#[$docs:meta])* $name:ident: $text:literal,)*) => {
        /// The limits of a project's use, all of which hold.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct ProjectLimits {
            $($(#[$docs])* pub $name: Limit,)*
        }

        /// A project's own limits. Those that are `None` are the deployment's.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct OwnLimits {
            $($(#[$docs])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $name: Option<Limit>,)*
        }

        impl ProjectLimits {
            /// The names of all limits, in lower case with hyphens.
            pub const NAMES: &[&str] = &[$($text),*];

            /// No limits.
            pub const UNLIMITED: Self = Self { $($name: Limit::Unlimited,)* };

            /// These limits, replaced by those that the project has of its own.
            #[must_use]
            pub fn with(&self, own: &OwnLimits) -> Self {
                Self { $($name: own.$name.unwrap_or(self.$name),)* }
            }

            /// The limit with this one of [`Self::NAMES`].
            pub fn by_name(&mut self, name: &str) -> Option<&mut Limit> {
                match name {
                    $($text => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }

        impl OwnLimits {
            /// Whether the project has no limits of its own.
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }

            /// The limit with this one of [`ProjectLimits::NAMES`].
            pub fn by_name(&mut self, name: &str) -> Option<&mut Option<Limit>> {
                match name {
                    $($text => Some(&mut self.$name),)*
                    _ => None,
                }
            }

            /// The limits that the project has, with their names.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, Limit)> {
                [$(($text, self.$name)),*].into_iter().filter_map(|(name, limit)| Some((name, limit?)))
            }
        }
    };
}

limits! {
    /// How many attempts at processing may run at the same time. Others wait.
    concurrent_encodes: "concurrent-encodes",
    /// Bytes of accepted uploads in a day (UTC).
    bytes_per_day: "bytes-per-day",
    /// Minutes of sources that became videos in a day (UTC), after which no further uploads are accepted on that day. Those that were
    /// accepted before are processed.
    minutes_per_day: "minutes-per-day",
    /// Bytes of sources that are stored.
    stored_bytes: "stored-bytes",
}

impl ProjectLimits {
    /// Whether an upload has to be compared with the project's usage.
    pub fn limits_uploads(&self) -> bool {
        [self.bytes_per_day, self.minutes_per_day, self.stored_bytes].iter().any(|it| *it != Limit::Unlimited)
    }

    /// Why an upload of `bytes` exceeds the limits at `now`, when the project has used `today` on this day and has `stored_bytes`.
    pub fn refuse_upload(
        &self,
        bytes: u64,
        today: &UsageCounters,
        stored_bytes: u64,
        now: Timestamp,
    ) -> Option<VideoError> {
        let tomorrow = format!("upload it again after {}, or ask for a higher limit", Day::of(now).end());
        let message = if self.bytes_per_day.is_exceeded_by(today.bytes_uploaded.saturating_add(bytes)) {
            let uploaded = today.bytes_uploaded;
            format!(
                "the project may upload {} bytes a day and has uploaded {uploaded}; {tomorrow}",
                self.bytes_per_day
            )
        } else if self.minutes_per_day.is_exceeded_by(today.source_minutes().saturating_add(1)) {
            let minutes = today.source_minutes();
            format!(
                "the project may process {} minutes of video a day and has processed {minutes}; {tomorrow}",
                self.minutes_per_day
            )
        } else if self.stored_bytes.is_exceeded_by(stored_bytes.saturating_add(bytes)) {
            format!(
                "the project may store {} bytes and has {stored_bytes}; delete videos, or ask for a higher limit",
                self.stored_bytes
            )
        } else {
            return None;
        };
        Some(VideoError::permanent("limit_exceeded", message))
    }
}

impl Default for ProjectLimits {
    fn default() -> Self {
        Self::UNLIMITED
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_limit() -> impl Strategy<Value = Limit> {
        prop_oneof![Just(Limit::Unlimited), (0u64..1 << 50).prop_map(Limit::AtMost)]
    }

    proptest! {
        #[test]
        fn text_and_json_round_trip(limit in any_limit()) {
            prop_assert_eq!(limit.to_string().parse(), Ok(limit));
            let json = serde_json::to_string(&limit).unwrap();
            prop_assert_eq!(serde_json::from_str::<Limit>(&json).unwrap(), limit);
        }

        #[test]
        fn an_upload_is_accepted_exactly_while_all_sums_are_within_the_limits(
            per_day in any_limit(), minutes in any_limit(), stored in any_limit(),
            bytes in 0u64..1 << 49, uploaded in 0u64..1 << 49, milliseconds in 0u64..1 << 45, has in 0u64..1 << 49,
        ) {
            let limits = ProjectLimits {
                bytes_per_day: per_day, minutes_per_day: minutes, stored_bytes: stored, ..ProjectLimits::UNLIMITED
            };
            let today = UsageCounters {
                bytes_uploaded: uploaded, source_milliseconds: milliseconds, ..UsageCounters::default()
            };
            let within = |limit: Limit, amount: u64| match limit {
                Limit::Unlimited => true,
                Limit::AtMost(most) => amount <= most,
            };
            let expected = within(per_day, uploaded + bytes)
                && within(minutes, milliseconds / 60_000 + 1)
                && within(stored, has + bytes);
            let refused = limits.refuse_upload(bytes, &today, has, Timestamp::from_unix_seconds(0));
            prop_assert_eq!(refused.is_none(), expected);
            prop_assert!(refused.is_none() || limits.limits_uploads());
        }
    }

    #[test]
    fn a_projects_own_limits_replace_those_of_the_deployment() {
        let mut of_deployment = ProjectLimits::UNLIMITED;
        for (number, name) in (1..).zip(ProjectLimits::NAMES) {
            *of_deployment.by_name(name).unwrap() = Limit::AtMost(number);
        }
        let mut own = OwnLimits::default();
        assert_eq!(of_deployment.with(&own), of_deployment);
        *own.by_name("stored-bytes").unwrap() = Some(Limit::Unlimited);
        *own.by_name("concurrent-encodes").unwrap() = Some(Limit::AtMost(7));
        let limits = of_deployment.with(&own);
        assert_eq!((limits.stored_bytes, limits.concurrent_encodes), (Limit::Unlimited, Limit::AtMost(7)));
        assert_eq!(limits.bytes_per_day, of_deployment.bytes_per_day);
        assert_eq!(own.by_name("size"), None);
        assert_eq!("many".parse::<Limit>(), Err(InvalidLimit));
    }
}
