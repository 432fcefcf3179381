//! When the platform is killed.

use std::fmt;

use fastrand::Rng;

/// The events of which one is waited for, so that the platform is killed in the middle of what follows it.
const EVENTS: &[&str] = &[
    "upload.completed",
    "processing.dispatched",
    "processing.started",
    "processing.completed",
    "video.ready",
];

/// A stage of a run of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It starts and is not ready.
    Start,
    /// It has just become ready and resumes what the last run left.
    Recovery,
    /// Clients make calls.
    Load,
    /// An event has just been recorded: a video is received, processed or published.
    Event(&'static str),
    /// It stops after SIGTERM.
    Stop,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => formatter.write_str("start"),
            Self::Recovery => formatter.write_str("recovery"),
            Self::Load => formatter.write_str("load"),
            Self::Event(kind) => write!(formatter, "after {kind}"),
            Self::Stop => formatter.write_str("stop"),
        }
    }
}

/// When the platform is killed in one cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) stage: Stage,
    /// The number of acknowledged calls or, with [`Stage::Event`], of events of this kind in this cycle; with [`Stage::Start`], the
    /// hundredths of the usual time of a start, because nothing can be counted there.
    pub(super) after: u64,
    /// With a file system that loses writes: the changes and syncs of files from then on, before the power is off.
    pub(super) changes: u64,
}

impl Moment {
    /// Chooses one.
    pub(super) fn choose(rng: &mut Rng) -> Self {
        match rng.u32(0..100) {
            0..15 => Self { stage: Stage::Start, after: rng.u64(0..110), changes: rng.u64(0..90) },
            15..30 => Self { stage: Stage::Recovery, after: rng.u64(0..4), changes: rng.u64(0..60) },
            30..60 => Self { stage: Stage::Load, after: rng.u64(4..40), changes: rng.u64(0..200) },
            60..95 => {
                let kind = rng.choice(EVENTS).copied().unwrap_or(EVENTS[0]);
                Self { stage: Stage::Event(kind), after: rng.u64(1..3), changes: rng.u64(0..30) }
            }
            _ => Self { stage: Stage::Stop, after: rng.u64(4..20), changes: rng.u64(0..30) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENTS, Moment, Stage};
    use fastrand::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_determines_the_moments_and_every_stage_is_chosen() {
        let moments = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..200).map(|_| Moment::choose(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(moments(1), moments(1));
        let stages: BTreeSet<Stage> = moments(1).iter().map(|moment| moment.stage).collect();
        assert_eq!(stages.len(), EVENTS.len() + 4, "{stages:?}");
    }
}
