//! A process of the simulation, as its ports see it.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use streamio_events::timestamp::Timestamp;

use super::{Engine, MINUTE, Millis, ProcessId, SECOND};
use crate::faults::{Fault, Faults};

/// Which clock a process reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockOf {
    /// That of the functions.
    Functions,
    /// That of the edge, the object store or the workers.
    Other,
}

/// A process. Its random numbers depend on the seed and its name alone, so that removing another operation from a plan
/// changes as little as possible.
pub(crate) struct Actor {
    pub(crate) engine: Arc<Engine>,
    pub(crate) process: ProcessId,
    faults: Arc<Faults>,
    clock: ClockOf,
    crashes: bool,
    /// Whether each of its calls takes long.
    is_slow: AtomicBool,
    random: Mutex<fastrand::Rng>,
}

impl Actor {
    /// Returns a process that [`Fault::Crash`] may end.
    pub(crate) fn new(engine: &Arc<Engine>, faults: &Arc<Faults>, clock: ClockOf, name: &str) -> Self {
        let process = engine.process();
        let random = Mutex::new(fastrand::Rng::with_seed(faults.seed_of(name)));
        let (engine, faults) = (Arc::clone(engine), Arc::clone(faults));
        Self { engine, process, faults, clock, crashes: true, is_slow: AtomicBool::new(false), random }
    }

    /// Returns a process of the cloud itself, which never crashes.
    pub(crate) fn lasting(engine: &Arc<Engine>, faults: &Arc<Faults>, clock: ClockOf, name: &str) -> Self {
        Self { crashes: false, ..Self::new(engine, faults, clock, name) }
    }

    /// The time of the process's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.faults.time_of(self.clock, self.engine.now())
    }

    /// Returns a random number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(..end.max(1))
    }

    /// Whether `fault` happens now. Counts it.
    pub(crate) fn meets(&self, fault: Fault) -> bool {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        self.faults.meets(fault, self.engine.now(), &mut random)
    }

    /// From now on each call of the process takes long.
    pub(crate) fn slow_down(&self) {
        self.is_slow.store(true, Ordering::Relaxed);
    }

    /// Waits.
    pub(crate) async fn sleep(&self, duration: Millis) {
        self.engine.sleep(duration).await;
    }

    /// Waits as long as a message travels. The process may crash here.
    pub(crate) async fn travel(&self) {
        let latency = match self.below(100) {
            0..90 => self.faults.slowness * (1 + self.below(20)),
            90..99 => self.faults.slowness * (20 + self.below(100)),
            _ => 300 + self.below(3000),
        };
        self.engine.sleep(latency).await;
        if self.is_slow.load(Ordering::Relaxed) {
            self.engine.sleep(self.below(LONG_CALL)).await;
        }
        if self.crashes && self.clock == ClockOf::Functions && self.meets(Fault::SlowCall) {
            self.engine.sleep(self.below(LONGEST_CALL)).await;
        }
        if self.crashes && self.meets(Fault::Crash) {
            self.engine.kill(self.process);
            pending::<()>().await;
        }
    }
}

/// The true time at `now`.
pub(crate) fn timestamp(now: Millis) -> Timestamp {
    Timestamp::from_unix_millis(START + i64::try_from(now).unwrap_or(i64::MAX))
}

/// The longest time that a call of a slow process takes.
const LONG_CALL: Millis = 20 * SECOND;

/// The longest time that a slow call of a function takes.
const LONGEST_CALL: Millis = 3 * MINUTE;

/// When runs begin.
const START: i64 = 1_800_000_000_000;
