//! Which dead letters a command concerns.

use clap::Args;
use streamio_events::timestamp::Timestamp;
use streamio_local::operator::{DeadLetterSummary, FUNCTIONS};

use super::function;
use crate::commands::platform::Platform;
use crate::exit::Failure;

/// Filters, all of which a dead letter passes.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Only of this function: uploads, intake, react, views, tasks or webhooks (repeatable)
    #[arg(long = "function", value_name = "FUNCTION", value_parser = function, value_delimiter = ',')]
    functions: Vec<&'static str>,
    /// Only those whose reason contains this text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only those that were given up at this time or later, such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only those that were given up before this time
    #[arg(long, value_name = "TIME")]
    before: Option<Timestamp>,
}

impl Selection {
    /// Whether no filter is given.
    pub(super) fn is_empty(&self) -> bool {
        let Self { functions, reason, since, before } = self;
        functions.is_empty() && reason.is_none() && since.is_none() && before.is_none()
    }

    /// Reads the dead letters that pass, oldest first.
    pub(super) async fn read(&self, platform: &Platform) -> Result<Vec<DeadLetterSummary>, Failure> {
        let mut selected = Vec::new();
        for function in FUNCTIONS {
            if self.functions.is_empty() || self.functions.contains(&function) {
                selected.extend(platform.dead_letters(function).await?);
            }
        }
        selected.retain(|it| self.passes(it));
        // Ids that are positions in a log are in the order of the log, which is that of their lengths first.
        selected.sort_by(|a, b| {
            (a.at, a.function, a.id.len(), &a.id).cmp(&(b.at, b.function, b.id.len(), &b.id))
        });
        Ok(selected)
    }

    fn passes(&self, dead_letter: &DeadLetterSummary) -> bool {
        let Self { functions, reason, since, before } = self;
        (functions.is_empty() || functions.contains(&dead_letter.function))
            && reason.as_ref().is_none_or(|text| dead_letter.reason.contains(text.as_str()))
            && since.is_none_or(|since| dead_letter.at >= since)
            && before.is_none_or(|before| dead_letter.at < before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_767_323_045 + seconds)
    }

    proptest! {
        /// `--since T` and `--before T` select each dead letter once, whatever T is, and the other filters only take away.
        #[test]
        fn a_time_divides_the_dead_letters(
            seconds in -9i64..9, divide in -9i64..9, function in 0usize..6, other in 0usize..6, named in any::<bool>()
        ) {
            let dead_letter = DeadLetterSummary {
                function: FUNCTIONS[function],
                id: "1".to_owned(),
                at: at(seconds),
                reason: "the log is not available".to_owned(),
            };
            let of = |since, before| Selection {
                functions: if named { vec![FUNCTIONS[other]] } else { vec![] },
                reason: None,
                since,
                before,
            };
            let (later, earlier) = (of(Some(at(divide)), None), of(None, Some(at(divide))));
            let is_named = !named || function == other;
            prop_assert_eq!(later.passes(&dead_letter) ^ earlier.passes(&dead_letter), is_named);
            let with_reason = |text: &str| Selection { reason: Some(text.to_owned()), ..of(None, None) };
            prop_assert_eq!(with_reason("not available").passes(&dead_letter), is_named);
            prop_assert!(!with_reason("another").passes(&dead_letter));
        }
    }
}
