//! Runs many seeds, and prints what happened.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::Millis;
use crate::faults::Fault;
use crate::plan::{Plan, QUIET};
use crate::run::{self, Outcome};
use crate::shrink::shrink;

/// The seeds of the automatic test.
const DEFAULT_SEEDS: u64 = 1000;

/// The simulated hours of a run, without the time in which it comes to rest.
const DEFAULT_HOURS: u64 = 24;

/// What is run.
pub(crate) struct Settings {
    first_seed: u64,
    seeds: u64,
    hours: u64,
    faults: Vec<Fault>,
    is_default: bool,
    prints_trace: bool,
}

impl Settings {
    /// Returns what the environment asks for, see `cargo xtask simulate`.
    pub(crate) fn from_environment() -> Self {
        let text = |name: &str| std::env::var(format!("STREAMIO_SIMULATION_{name}")).ok();
        let number = |name: &str| {
            text(name)
                .map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
        };
        let faults = text("FAULTS").map(|names| names.split(',').map(fault_named).collect());
        Self {
            first_seed: number("SEED").unwrap_or(0),
            seeds: number("SEEDS").unwrap_or(if number("SEED").is_some() { 1 } else { DEFAULT_SEEDS }),
            hours: number("HOURS").unwrap_or(DEFAULT_HOURS),
            is_default: ["SEED", "SEEDS", "HOURS", "FAULTS", "WHOLE"].iter().all(|name| text(name).is_none()),
            faults: faults.unwrap_or_else(|| Fault::ALL.to_vec()),
            prints_trace: text("TRACE").is_some(),
        }
    }

    /// Whether the environment asks for nothing else than the automatic test.
    pub(crate) fn is_default(&self) -> bool {
        self.is_default
    }

    fn plan(&self, seed: u64) -> Plan {
        Plan::of_seed(seed, self.hours, &self.faults)
    }
}

fn fault_named(name: &str) -> Fault {
    let mut known = Fault::ALL.iter().copied();
    known.find(|fault| fault.name() == name).unwrap_or_else(|| panic!("there is no kind of fault {name}"))
}

/// The results of many runs.
pub(crate) struct Summary {
    runs: u64,
    hours: u64,
    elapsed: Duration,
    steps: u64,
    faults: Vec<u64>,
    events: BTreeSet<String>,
    /// The lowest failing seed, with its violation.
    pub(crate) failure: Option<(u64, String)>,
}

/// Runs the seeds on all processors, until one fails.
pub(crate) fn run_seeds(settings: &Settings) -> Summary {
    let began = Instant::now();
    let (next, stops) = (AtomicU64::new(0), AtomicBool::new(false));
    let summary = Mutex::new(Summary {
        runs: 0,
        hours: 0,
        elapsed: Duration::ZERO,
        steps: 0,
        faults: vec![0; Fault::ALL.len()],
        events: BTreeSet::new(),
        failure: None,
    });
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !stops.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= settings.seeds {
                        return;
                    }
                    let seed = settings.first_seed + number;
                    let outcome = run::run(&settings.plan(seed), false);
                    let mut summary = summary.lock().expect("no run panics");
                    summary.add(settings, &outcome);
                    if let Some(violation) = outcome.violation {
                        stops.store(true, Ordering::Relaxed);
                        if summary.failure.as_ref().is_none_or(|(other, _)| seed < *other) {
                            summary.failure = Some((seed, violation));
                        }
                    }
                }
            });
        }
    });
    let mut summary = summary.into_inner().expect("no run panics");
    summary.elapsed = began.elapsed();
    summary
}

impl Summary {
    fn add(&mut self, settings: &Settings, outcome: &Outcome) {
        self.runs += 1;
        self.hours += settings.hours + QUIET / crate::engine::HOUR;
        self.steps += outcome.steps;
        self.faults.iter_mut().zip(&outcome.faults).for_each(|(sum, count)| *sum += count);
        self.events.extend(outcome.events.iter().cloned());
    }

    /// The kinds of faults that never happened.
    pub(crate) fn unseen_faults(&self) -> Vec<&'static str> {
        let counts = Fault::ALL.iter().zip(&self.faults);
        counts.filter(|(_, count)| **count == 0).map(|(fault, _)| fault.name()).collect()
    }

    /// The kinds of events that never happened, of those that the application records.
    pub(crate) fn unseen_events(&self) -> Vec<&'static str> {
        const EVENTS: [&str; 22] = [
            "key.created",
            "key.revoked",
            "outputs.removed",
            "playback.granted",
            "processing.completed",
            "processing.dispatched",
            "processing.expired",
            "processing.failed",
            "processing.interrupted",
            "processing.progressed",
            "processing.requested",
            "processing.started",
            "project.updated",
            "stream.quarantined",
            "upload.completed",
            "upload.expired",
            "upload.received",
            "upload.rejected",
            "upload.removed",
            "video.deleted",
            "video.errored",
            "video.ready",
        ];
        EVENTS.into_iter().filter(|kind| !self.events.contains(*kind)).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, hours, elapsed, steps, .. } = self;
        writeln!(formatter, "{runs} seeds, {hours} simulated hours, {steps} steps in {elapsed:.1?}")?;
        for (fault, count) in Fault::ALL.iter().zip(&self.faults) {
            writeln!(formatter, "{count:>9}  {}", fault.name())?;
        }
        Ok(())
    }
}

/// Shrinks a failing run, and returns what happens in the smallest one. With the variable `STREAMIO_SIMULATION_WHOLE`, returns only
/// the seed and the violation.
pub(crate) fn describe(settings: &Settings, (seed, violation): &(u64, String)) -> String {
    if std::env::var_os("STREAMIO_SIMULATION_WHOLE").is_some() {
        return format!("seed {seed}: {violation}");
    }
    let plan = settings.plan(*seed);
    let shrunk = shrink(&plan, |plan| run::run(plan, false).violation.is_some());
    let outcome = run::run(&shrunk, true);
    let mut text = format!(
        "seed {seed}: {violation}\n\nTo run it again: cargo xtask simulate --seed {seed} --hours {}\n\nThe smallest plan that fails, \
         {} of {} items:\n",
        settings.hours,
        shrunk.items.len(),
        plan.items.len()
    );
    let _ = writeln!(
        text,
        "  one clock: {}, versions: {}, retention: {:?}",
        shrunk.has_one_clock, shrunk.has_versions, shrunk.retention
    );
    for item in &shrunk.items {
        let _ = writeln!(text, "  {item:?}");
    }
    let _ = writeln!(text, "\nIts violation: {}\n", outcome.violation.unwrap_or_default());
    if settings.prints_trace || outcome.trace.len() < 2000 {
        outcome.trace.iter().for_each(|(at, line)| {
            let _ = writeln!(text, "{} {line}", clock_text(*at));
        });
    }
    text
}

/// Formats a time as hours, minutes, seconds and milliseconds.
fn clock_text(at: Millis) -> String {
    let seconds = at / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, at % 1000)
}
