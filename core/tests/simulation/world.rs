//! The simulated cloud: the log, the buckets, the launcher, the intake, the views and the key-value store, all in memory.

mod buckets;
mod dead_letters;
mod directory;
mod feed;
mod intake;
mod launcher;
mod ledger;
mod log_client;
mod machine;
mod object_client;
mod slots;
mod view_client;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use streamio_core::fold_cache::ProjectCache;
use streamio_core::ports::dead_letters::DeadLetter;
use streamio_core::ports::view_store::VideoRow;
use streamio_core::testing::{MemoryPending, MemorySlots};
use streamio_events::id::VideoId;
use streamio_events::tenant::Tenant;
use streamio_events::video::Policy;

pub(crate) use self::buckets::{Bucket, Content, StoredObject};
pub(crate) use self::directory::{KeyValueStore, SharedDirectory};
pub(crate) use self::feed::Feeds;
pub(crate) use self::intake::{IntakeRecord, IntakeShard, put_facts};
pub(crate) use self::launcher::{Launches, TaskState};
pub(crate) use self::ledger::Ledger;
pub(crate) use self::log_client::LogClient;
pub(crate) use self::machine::Machine;
pub(crate) use self::object_client::{Condition, ObjectClient, WriteError};
pub(crate) use self::view_client::ViewClient;
use crate::engine::{Actor, ClockOf, Engine, Millis, Signal};
use crate::faults::Faults;
use crate::invariants::Oracle;
use crate::plan::Plan;

/// The number of shards of the intake and of the log's change feed.
pub(crate) const SHARDS: usize = 2;

/// The number of warm instances of the functions.
const INSTANCES: usize = 3;

/// Everything that outlives a process.
pub(crate) struct World {
    pub(crate) engine: Arc<Engine>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) policy: Policy,
    pub(crate) plan: Plan,
    /// Appends to the log and to the intake.
    pub(crate) changes: Signal,
    /// The machine, on which all processes run if there is only one.
    pub(crate) machine: Machine,
    /// The slots of projects, which are in the table of views.
    pub(crate) slots: MemorySlots,
    /// The pending replications, which are in the table of views, too.
    pub(crate) pending: MemoryPending,
    state: Mutex<State>,
    /// The caches of projects of the functions' warm instances.
    projects: Mutex<Vec<Arc<ProjectCache>>>,
}

/// The content of all stores.
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    pub(crate) raw: Bucket,
    pub(crate) processed: Bucket,
    pub(crate) rows: BTreeMap<VideoId, VideoRow>,
    pub(crate) feeds: Feeds,
    /// API keys by the names of the edge's store.
    pub(crate) tenants: BTreeMap<String, Tenant>,
    pub(crate) kv: KeyValueStore,
    pub(crate) dead_letters: BTreeMap<(&'static str, String), DeadLetter>,
    pub(crate) intake: Vec<IntakeShard>,
    pub(crate) launches: Launches,
    pub(crate) oracle: Oracle,
    trace: Option<Vec<(Millis, String)>>,
}

impl World {
    /// Returns an empty cloud for a run of `plan`.
    pub(crate) fn new(plan: Plan, has_trace: bool) -> Arc<Self> {
        let engine = Engine::new(plan.seed);
        let faults = Faults::new(&plan, has_trace);
        let policy = plan.policy();
        let state = State {
            ledger: Ledger::default(),
            raw: Bucket::new(plan.has_versions),
            processed: Bucket::new(false),
            rows: BTreeMap::new(),
            feeds: Feeds::default(),
            tenants: BTreeMap::new(),
            kv: KeyValueStore::default(),
            dead_letters: BTreeMap::new(),
            intake: (0..SHARDS).map(|_| IntakeShard::default()).collect(),
            launches: Launches::default(),
            oracle: Oracle::new(&plan),
            trace: has_trace.then(Vec::new),
        };
        Arc::new(Self {
            engine,
            faults: Arc::new(faults),
            policy,
            plan,
            changes: Signal::default(),
            machine: Machine::default(),
            slots: MemorySlots::default(),
            pending: MemoryPending::default(),
            state: Mutex::new(state),
            projects: Mutex::new(cold_caches()),
        })
    }

    /// The content of all stores. Never held while waiting.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the cache of projects of one of the warm instances.
    pub(crate) fn warm_projects(&self, number: u64) -> Arc<ProjectCache> {
        let caches = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&caches[usize::try_from(number).unwrap_or(0) % caches.len()])
    }

    /// Replaces all instances of the functions: their caches are empty.
    pub(crate) fn replace_instances(&self) {
        *self.projects.lock().unwrap_or_else(PoisonError::into_inner) = cold_caches();
    }

    /// Returns a process that may crash.
    pub(crate) fn actor(&self, clock: ClockOf, name: &str) -> Arc<Actor> {
        let actor = Actor::new(&self.engine, &self.faults, clock, name);
        self.machine.add(actor.process);
        Arc::new(actor)
    }

    /// Returns a process of the cloud itself.
    pub(crate) fn lasting_actor(&self, name: &str) -> Arc<Actor> {
        Arc::new(Actor::lasting(&self.engine, &self.faults, ClockOf::Functions, name))
    }

    /// Returns the process of a worker.
    pub(crate) fn worker_actor(&self, name: &str) -> Arc<Actor> {
        let actor = Actor::lasting(&self.engine, &self.faults, ClockOf::Other, &format!("worker {name}"));
        self.machine.add(actor.process);
        Arc::new(actor)
    }

    /// Returns the clock of the object store.
    pub(crate) fn lasting_store(&self) -> Actor {
        Actor::lasting(&self.engine, &self.faults, ClockOf::Other, "object store")
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        let mut state = self.state();
        if let Some(trace) = &mut state.trace {
            trace.push((self.engine.now(), line()));
        }
    }

    /// Returns all lines of the trace and all faults, in the order of their times.
    pub(crate) fn take_trace(&self) -> Vec<(Millis, String)> {
        let mut lines = self.state().trace.take().unwrap_or_default();
        let faults = self.faults.take_trace().into_iter();
        lines.extend(faults.map(|(at, fault)| (at, format!("  fault: {}", fault.name()))));
        lines.sort_by_key(|(at, _)| *at);
        lines
    }
}

fn cold_caches() -> Vec<Arc<ProjectCache>> {
    (0..INSTANCES).map(|_| Arc::default()).collect()
}

impl State {
    /// Adds a line to the trace, if there is one.
    pub(crate) fn trace(&mut self, now: Millis, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push((now, line()));
        }
    }
}
