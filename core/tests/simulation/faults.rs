//! The kinds of faults, when they happen, and how often they did.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use streamio_events::timestamp::Timestamp;

use crate::engine::{ClockOf, HOUR, MINUTE, Millis};
use crate::plan::Plan;

macro_rules! faults {
    ($($(#[$docs:meta])* $name:ident = $text:literal,)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Fault {
            $($(#[$docs])* $name,)*
        }

        impl Fault {
            /// All kinds.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name by which a kind is switched on and reported.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// A function, the edge or a tenant's client ends at a wait: before or after the effect of a call.
    Crash = "crash",
    /// The log stores a commit, and the response is lost.
    LostResponse = "lost-response",
    /// The log does not respond.
    LogUnavailable = "log-unavailable",
    /// The disk of one machine's log is full: the log refuses commits, and can be read.
    LogDiskFull = "log-disk-full",
    /// The log rejects some calls.
    LogThrottled = "log-throttled",
    /// The object store does not respond.
    StoreUnavailable = "store-unavailable",
    /// The object store rejects reads of metadata.
    HeadThrottled = "head-throttled",
    /// The object store does what it is asked for and responds with status 500.
    StoreErrorAfterSuccess = "store-error-after-success",
    /// The table of views does not respond.
    ViewsUnavailable = "views-unavailable",
    /// A write of the table of views takes effect, and the response is lost.
    LostViewResponse = "lost-view-response",
    /// An event notification is delivered more than once.
    DuplicateNotification = "duplicate-notification",
    /// An event notification is never delivered.
    LostNotification = "lost-notification",
    /// An event notification is delivered up to two minutes late, after later ones.
    ReorderedNotification = "reordered-notification",
    /// An event notification is delivered hours late.
    DelayedNotification = "delayed-notification",
    /// An event notification states only the key.
    ReducedNotification = "reduced-notification",
    /// Records of the log's change feed are delivered again.
    DuplicateRecords = "duplicate-records",
    /// A shard of the log's change feed is late, so that the order across shards changes.
    DelayedShard = "delayed-shard",
    /// Records of the log's change feed never reach the reactions.
    LostRecords = "lost-records",
    /// A fact is stored twice by the intake.
    DuplicateFact = "duplicate-fact",
    /// The intake delivers late.
    DelayedIntake = "delayed-intake",
    /// The intake delivers nothing for hours.
    IntakeStopped = "intake-stopped",
    /// A poller is replaced while its invocation, which is slow, runs: the next one delivers the same records meanwhile.
    OverlappingInvocation = "overlapping-invocation",
    /// A call of a function takes minutes.
    SlowCall = "slow-call",
    /// The intake accepts nothing.
    IntakeUnavailable = "intake-unavailable",
    /// The edge reads an old value of its key-value store.
    KvStale = "kv-stale",
    /// The edge's key-value store rejects writes, of which some have taken effect or do so later.
    KvUnavailable = "kv-unavailable",
    /// Dead letters cannot be stored.
    DeadLettersUnavailable = "dead-letters-unavailable",
    /// All clocks are ahead; or, where components have clocks of their own, those of the functions by less than is tolerated.
    ClockAhead = "clock-ahead",
    /// All clocks are an hour behind; or, where components have clocks of their own, those of the functions.
    ClockBehind = "clock-behind",
    /// The disk of a worker is full.
    DiskFull = "disk-full",
    /// A worker cannot reach the log.
    Partition = "partition",
    /// The launcher has no capacity.
    LauncherUnavailable = "launcher-unavailable",
    /// The launcher rejects launches until an operator acts.
    LauncherRefuses = "launcher-refuses",
    /// The launcher starts a worker, and the response is lost.
    LostLaunchResponse = "lost-launch-response",
    /// The launcher forgets a launch and starts a second worker for the same token.
    DoubleLaunch = "double-launch",
    /// A task ends before its worker starts.
    TaskFailedToStart = "task-failed-to-start",
    /// A worker is stopped with notice.
    SpotInterruption = "spot-interruption",
    /// A worker ends without notice and its task's end is not reported.
    SilentWorker = "silent-worker",
    /// A worker ends by itself without recording anything.
    WorkerCrash = "worker-crash",
    /// A worker pauses until its attempt is another's, and then continues.
    PausedWorker = "paused-worker",
    /// A worker takes many times longer.
    SlowWorker = "slow-worker",
    /// The end of a task is reported twice.
    DuplicateTaskEnd = "duplicate-task-end",
    /// The end of a task is never reported.
    LostTaskEnd = "lost-task-end",
    /// The sweep does not run.
    SweepStopped = "sweep-stopped",
    /// One machine loses power: all its processes end at once, the workers too, and start again within a minute.
    PowerLoss = "power-loss",
    /// A commit is lost with the power, because it was not yet synced.
    LostCommit = "lost-commit",
    /// All functions are replaced: running invocations end, and caches are empty.
    Deploy = "deploy",
}

impl Fault {
    /// Faults after which running attempts expire, which counts as failures of their videos. A run has at most
    /// [`MAX_EXPIRING`](crate::plan::MAX_EXPIRING) periods of these.
    pub(crate) fn expires_attempts(self) -> bool {
        matches!(
            self,
            Self::LogUnavailable
                | Self::LogDiskFull
                | Self::Partition
                | Self::ClockAhead
                | Self::ClockBehind
                | Self::PowerLoss
        )
    }

    /// Faults that delay the sweep, or the time at which it expires an attempt.
    pub(crate) fn delays_sweep(self) -> bool {
        matches!(
            self,
            Self::Crash
                | Self::LostResponse
                | Self::LogUnavailable
                | Self::LogDiskFull
                | Self::LogThrottled
                | Self::StoreUnavailable
                | Self::HeadThrottled
                | Self::StoreErrorAfterSuccess
                | Self::SlowCall
                | Self::ViewsUnavailable
                | Self::LostViewResponse
                | Self::DelayedShard
                | Self::ClockAhead
                | Self::ClockBehind
                | Self::SweepStopped
                | Self::PowerLoss
                | Self::Deploy
        )
    }

    /// Faults that delay the publication of a completed attempt.
    pub(crate) fn delays_publication(self) -> bool {
        self.delays_sweep()
            || matches!(
                self,
                Self::Partition
                    | Self::PausedWorker
                    | Self::LauncherUnavailable
                    | Self::LauncherRefuses
                    | Self::LostLaunchResponse
                    | Self::TaskFailedToStart
            )
    }

    /// The longest period of such faults, and the largest share of calls that they affect, in thousandths.
    pub(crate) fn extent(self) -> (Millis, u64) {
        match self {
            Self::Crash | Self::SlowCall => (HOUR, 60),
            // More would delay the heartbeats of workers too long.
            Self::LogThrottled => (HOUR, 150),
            Self::LostResponse | Self::LostViewResponse => (HOUR, 300),
            Self::LogUnavailable
            | Self::LogDiskFull
            | Self::StoreUnavailable
            | Self::ViewsUnavailable
            | Self::Partition
            | Self::DiskFull => (HOUR, 1000),
            Self::SweepStopped => (5 * HOUR, 1000),
            Self::LauncherUnavailable | Self::LauncherRefuses | Self::IntakeStopped => (3 * HOUR, 1000),
            Self::OverlappingInvocation => (2 * HOUR, 300),
            Self::ClockAhead | Self::ClockBehind => (2 * HOUR, 1000),
            Self::DelayedShard | Self::DelayedIntake => (HOUR, 700),
            Self::Deploy => (30 * MINUTE, 1000),
            _ => (2 * HOUR, 700),
        }
    }
}

/// A period in which a kind of fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FaultPeriod {
    pub(crate) fault: Fault,
    pub(crate) from: Millis,
    pub(crate) until: Millis,
    /// The share of calls that it affects, in thousandths.
    pub(crate) per_mille: u64,
}

/// The faults of a run.
pub(crate) struct Faults {
    seed: u64,
    has_one_clock: bool,
    /// See [`Plan::slowness`].
    pub(crate) slowness: u64,
    periods: Vec<FaultPeriod>,
    counts: Vec<AtomicU64>,
    trace: Mutex<Option<Vec<(Millis, Fault)>>>,
}

/// By how much a wrong clock is wrong.
pub(crate) const CLOCK_ERROR: Millis = HOUR;

/// By how much the functions' clock may be ahead of the workers' clocks: less than the time after which a worker is lost.
const TOLERATED_CLOCK_ERROR: Millis = 15_000;

impl Faults {
    /// Returns the faults of the run of `plan`.
    pub(crate) fn new(plan: &Plan, has_trace: bool) -> Self {
        Self {
            seed: plan.seed,
            has_one_clock: plan.has_one_clock,
            slowness: plan.slowness,
            periods: plan.periods(),
            counts: Fault::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            trace: Mutex::new(has_trace.then(Vec::new)),
        }
    }

    /// Returns the seed of the process `name`: FNV-1a of its name, mixed with the seed of the run.
    pub(crate) fn seed_of(&self, name: &str) -> u64 {
        let offset = 0xcbf2_9ce4_8422_2325 ^ self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        name.bytes().fold(offset, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// Whether `fault` happens at `now`. Counts it.
    pub(crate) fn meets(&self, fault: Fault, now: Millis, random: &mut fastrand::Rng) -> bool {
        let periods = self.periods.iter().filter(|period| period.fault == fault);
        let strength = periods.filter(|it| (it.from..it.until).contains(&now)).map(|it| it.per_mille).max();
        let happens = strength.is_some_and(|per_mille| random.u64(..1000) < per_mille);
        if happens {
            self.count(fault, now);
        }
        happens
    }

    /// Counts `fault`.
    pub(crate) fn count(&self, fault: Fault, now: Millis) {
        self.counts[fault as usize].fetch_add(1, Ordering::Relaxed);
        if let Ok(mut trace) = self.trace.lock()
            && let Some(trace) = &mut *trace
        {
            trace.push((now, fault));
        }
    }

    /// The time of a clock when the true time is `now`.
    pub(crate) fn time_of(&self, clock: ClockOf, now: Millis) -> Timestamp {
        let mut millis = crate::engine::true_time(now).unix_millis();
        if !self.has_one_clock && clock == ClockOf::Other {
            return Timestamp::from_unix_millis(millis);
        }
        let ahead = if self.has_one_clock { CLOCK_ERROR } else { TOLERATED_CLOCK_ERROR };
        let errors =
            [(Fault::ClockAhead, ahead.cast_signed()), (Fault::ClockBehind, -CLOCK_ERROR.cast_signed())];
        for (fault, error) in errors {
            let mut periods = self.periods.iter().filter(|it| it.fault == fault);
            if periods.any(|it| (it.from..it.until).contains(&now)) {
                self.counts[fault as usize].fetch_add(1, Ordering::Relaxed);
                millis += error;
            }
        }
        Timestamp::from_unix_millis(millis)
    }

    /// The number of planned periods of faults after which attempts expire.
    pub(crate) fn expiring_periods(&self) -> usize {
        self.periods.iter().filter(|period| period.fault.expires_attempts()).count()
    }

    /// The beginnings of the periods of `fault`.
    pub(crate) fn beginnings(&self, fault: Fault) -> Vec<Millis> {
        self.periods.iter().filter(|period| period.fault == fault).map(|period| period.from).collect()
    }

    /// How often each kind happened, in the order of [`Fault::ALL`].
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Returns the faults that happened since the last call, with their times.
    pub(crate) fn take_trace(&self) -> Vec<(Millis, Fault)> {
        self.trace.lock().ok().and_then(|mut trace| trace.as_mut().map(std::mem::take)).unwrap_or_default()
    }
}
