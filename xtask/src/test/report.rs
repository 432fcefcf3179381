//! The report of a run: one line per step, and a summary.

use std::fmt::Write as _;
use std::time::Duration;

use crate::duration::format_duration;

/// The outcome of a step.
pub(super) enum Outcome {
    /// The check succeeded.
    Passed,
    /// The check could not be run on this machine, for this reason.
    NotRun(String),
    /// The check failed, for this reason.
    Failed(String),
}

/// The result of a step.
pub(super) struct Finished {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

impl Finished {
    /// Whether the step counts as failed.
    pub(super) fn failed(&self, deny_not_run: bool) -> bool {
        match self.outcome {
            Outcome::Passed => false,
            Outcome::NotRun(_) => deny_not_run,
            Outcome::Failed(_) => true,
        }
    }

    /// Returns the line that is printed when the step has ended.
    pub(super) fn line(&self) -> String {
        match &self.outcome {
            Outcome::Passed => format!("<== {}: ok, {}", self.name, format_duration(self.took)),
            Outcome::NotRun(reason) => format!("<== {}: NOT RUN: {reason}", self.name),
            Outcome::Failed(reason) => {
                format!("<== {}: FAILED after {}: {reason}", self.name, format_duration(self.took))
            }
        }
    }
}

/// Returns the table at the end: one row per step that was run, and the number of steps that were not reached.
pub(super) fn summary(finished: &[Finished], selected: usize, took: Duration) -> String {
    let mut text = String::from("\n");
    for step in finished {
        let word = match &step.outcome {
            Outcome::Passed => "ok",
            Outcome::NotRun(_) => "NOT RUN",
            Outcome::Failed(_) => "FAILED",
        };
        let _ = writeln!(text, "  {:<11} {:>12}   {word}", step.name, format_duration(step.took));
    }
    let _ = writeln!(text, "  {:<11} {:>12}", "total", format_duration(took));
    let unreached = selected - finished.len();
    if unreached > 0 {
        let steps = if unreached == 1 { "step was" } else { "steps were" };
        let _ =
            writeln!(text, "  {unreached} more {steps} not reached (--keep-going continues after a failure)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Finished, Outcome, summary};
    use std::time::Duration;

    fn finished(name: &'static str, outcome: Outcome, seconds: u64) -> Finished {
        Finished { name, outcome, took: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_summary_names_each_step_its_time_and_what_was_not_reached() {
        let steps = [
            finished("fmt", Outcome::Passed, 1),
            finished("advisories", Outcome::NotRun("no network".into()), 2),
            finished("tests", Outcome::Failed("exit code 101".into()), 185),
        ];
        let expected = "
  fmt               1.00 s   ok
  advisories        2.00 s   NOT RUN
  tests         3 min 05 s   FAILED
  total         3 min 08 s
  1 more step was not reached (--keep-going continues after a failure)
";
        assert_eq!(summary(&steps, 4, Duration::from_secs(188)), expected);
    }

    #[test]
    fn a_step_that_could_not_run_fails_only_with_deny_not_run() {
        let step = finished("advisories", Outcome::NotRun("no network".into()), 2);
        assert!(!step.failed(false) && step.failed(true));
        assert_eq!(step.line(), "<== advisories: NOT RUN: no network");
    }

    #[test]
    fn the_line_of_a_failed_step_has_the_reason() {
        let step = finished("tests", Outcome::Failed("exit code 101".into()), 3);
        assert!(step.failed(false));
        assert_eq!(step.line(), "<== tests: FAILED after 3.00 s: exit code 101");
    }
}
