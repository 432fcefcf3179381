//! The figures of all phases, and the goals.

use std::fmt;
use std::time::Duration;

use super::latency::Latencies;

/// How many times as long others may take as they take alone.
const RATIO: f64 = 2.0;
/// The p99 of an upload URL, at most.
const GRANT: Duration = Duration::from_millis(25);
/// Bytes of memory of the platform.
const MEMORY: u64 = 200_000_000;

/// What was measured in a phase.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    /// Times from the end of an upload until the video is ready.
    pub(super) ready: Latencies,
    /// Times of requests for upload URLs.
    pub(super) grants: Latencies,
}

/// What was measured in all phases.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) alone: Measured,
    pub(super) beside_flood: Measured,
    pub(super) beside_connections: Option<Measured>,
    /// Bytes of memory that the platform has had at most.
    pub(super) memory: u64,
}

impl Figures {
    fn phases(&self) -> impl Iterator<Item = (&'static str, &Measured)> {
        let connections = self.beside_connections.iter().map(|measured| ("beside bad connections", measured));
        [("alone", &self.alone), ("beside the flood", &self.beside_flood)].into_iter().chain(connections)
    }

    fn ratio(&self, measured: &Measured) -> f64 {
        measured.ready.percentile(95).as_secs_f64() / self.alone.ready.percentile(95).as_secs_f64()
    }

    /// The goals that were missed.
    pub(super) fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for (name, measured) in self.phases() {
            let (ratio, grant) = (self.ratio(measured), measured.grants.percentile(99));
            if ratio > RATIO {
                missed.push(format!(
                    "{name}, the p95 to ready is {ratio:.1} times that alone, not at most {RATIO}"
                ));
            }
            if grant > GRANT {
                missed
                    .push(format!("{name}, the p99 of an upload URL is {grant:.1?}, not at most {GRANT:?}"));
            }
        }
        if self.memory > MEMORY {
            missed.push(format!(
                "the platform took {} MB, not at most {}",
                self.memory / 1_000_000,
                MEMORY / 1_000_000
            ));
        }
        missed
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, measured) in self.phases() {
            let (ready, grants) = (&measured.ready, &measured.grants);
            writeln!(
                formatter,
                "{name}: {} videos ready after p50 {:.1?}, p95 {:.1?} ({:.2} times alone); {} upload URLs in p50 {:.1?}, p99 {:.1?}",
                ready.count(),
                ready.percentile(50),
                ready.percentile(95),
                self.ratio(measured),
                grants.count(),
                grants.percentile(50),
                grants.percentile(99),
            )?;
        }
        write!(formatter, "the platform's memory: at most {} MB", self.memory / 1_000_000)?;
        for goal in self.missed() {
            write!(formatter, "\ngoal missed: {goal}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(ready: u64, grant: u64) -> Measured {
        let of = |milliseconds| Latencies::of(vec![Duration::from_millis(milliseconds)]);
        Measured { ready: of(ready), grants: of(grant) }
    }

    #[test]
    fn each_goal_is_named_that_is_missed() {
        let good = Figures {
            alone: measured(1000, 5),
            beside_flood: measured(1900, 25),
            beside_connections: Some(measured(1000, 5)),
            memory: 100_000_000,
        };
        assert_eq!(good.missed(), Vec::<String>::new());
        let bad = Figures {
            beside_flood: measured(2100, 26),
            beside_connections: Some(measured(5000, 5)),
            memory: 300_000_000,
            ..good
        };
        assert_eq!(bad.missed().len(), 4, "{:?}", bad.missed());
        assert!(bad.to_string().contains("goal missed: the platform took 300 MB"));
    }
}
