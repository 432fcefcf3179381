//! Deterministic execution: one thread, virtual time, and an order of execution that a seed determines.
//!
//! Futures run until they wait. The next one to run is chosen at random among those that are ready; when none is, the clock
//! advances to the next timer. Every call of a port waits for a random time before and after its effect, so that the seed
//! decides which other calls take effect between two calls of a process.

mod actor;
mod executor;
mod signal;

pub(crate) use self::actor::{Actor, ClockOf, timestamp as true_time};
pub(crate) use self::executor::{Engine, ProcessId, Stopped};
pub(crate) use self::signal::Signal;

/// Milliseconds of virtual time since the beginning of a run.
pub(crate) type Millis = u64;

/// A second of virtual time.
pub(crate) const SECOND: Millis = 1000;

/// A minute of virtual time.
pub(crate) const MINUTE: Millis = 60 * SECOND;

/// An hour of virtual time.
pub(crate) const HOUR: Millis = 60 * MINUTE;
