//! The simulated environment of isolates: the history of every key, the health of the sources, and the clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use streamio_edge::directory::{
    Allowance, DirectoryConfig, DirectoryPorts, HomeLimits, ReplicatedDirectory, SourceName, StoredTenants,
    Tenant,
};
use streamio_edge::ports::BackgroundTask;
use streamio_events::api_key::{ApiKey, KeyHash};
use streamio_events::event::Scope;
use streamio_events::timestamp::Timestamp;

use crate::simulation::finish;
use crate::sources::{DeferredTasks, Home, RecordedFailures, Store};

/// The key-value store's delay: a read returns every write that is older than this, unless a test rolls the store back.
pub(crate) const STORE_DELAY: Duration = Duration::from_mins(1);

/// The number of locations, each with its own replica of the key-value store.
pub(crate) const LOCATIONS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Up,
    Down,
    /// Returns unreadable records.
    Garbled,
}

/// A call to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceCall {
    pub(crate) at: Timestamp,
    pub(crate) isolate: usize,
    pub(crate) source: SourceName,
    pub(crate) key: KeyHash,
}

pub(crate) struct State {
    pub(crate) now: Timestamp,
    /// All records that each key ever had, and when they were written.
    pub(crate) records: HashMap<KeyHash, Vec<(Timestamp, Tenant)>>,
    pub(crate) store: [Health; LOCATIONS],
    /// Whether the store may return records of any age.
    pub(crate) rolled_back: [bool; LOCATIONS],
    pub(crate) home_is_up: bool,
    /// The last time at which the home region was down.
    pub(crate) home_was_down: Option<Timestamp>,
    pub(crate) calls: Vec<SourceCall>,
    pub(crate) failures: Vec<(SourceName, String)>,
    /// Background tasks that have not been run.
    pub(crate) tasks: Vec<BackgroundTask>,
    /// How many background tasks were ever started.
    pub(crate) spawned: usize,
    /// The lag of the store's reads, in thousandths of its delay; used in turn.
    pub(crate) lags: Vec<u16>,
    reads: usize,
}

/// Cloning gives another handle to the same environment.
#[derive(Clone)]
pub(crate) struct TestDirectory(Arc<Mutex<State>>);

impl TestDirectory {
    /// All sources are up, and the store has no lag.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            now: start(),
            records: HashMap::new(),
            store: [Health::Up; LOCATIONS],
            rolled_back: [false; LOCATIONS],
            home_is_up: true,
            home_was_down: None,
            calls: Vec::new(),
            failures: Vec::new(),
            tasks: Vec::new(),
            spawned: 0,
            lags: vec![0],
            reads: 0,
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.state().now
    }

    pub(crate) fn advance(&self, time: Duration) {
        let mut state = self.state();
        state.now = state.now.plus(time);
        if !state.home_is_up {
            state.home_was_down = Some(state.now);
        }
    }

    pub(crate) fn set_home(&self, is_up: bool) {
        let mut state = self.state();
        state.home_is_up = is_up;
        if !is_up {
            state.home_was_down = Some(state.now);
        }
    }

    pub(crate) fn set_store(&self, health: Health) {
        self.state().store = [health; LOCATIONS];
    }

    /// Isolate `number` with these settings; it is in location `number % LOCATIONS`.
    pub(crate) fn isolate(&self, number: usize, config: &DirectoryConfig) -> Arc<ReplicatedDirectory> {
        let store = Store { harness: self.clone(), isolate: number, location: number % LOCATIONS };
        let ports = DirectoryPorts {
            store: Arc::new(StoredTenants::new(Arc::new(store))),
            home: Arc::new(Home { harness: self.clone(), isolate: number }),
            background: Arc::new(DeferredTasks(self.clone())),
            failures: Arc::new(RecordedFailures(self.clone())),
        };
        Arc::new(ReplicatedDirectory::new(config, ports).unwrap())
    }

    /// Writes the next record of `key`: the last one with `change` made to it.
    pub(crate) fn write(&self, key: &KeyHash, change: impl FnOnce(&mut Tenant)) {
        let mut state = self.state();
        let now = state.now;
        let history = state.records.entry(*key).or_default();
        let last = history.last().map_or_else(|| created(key), |(_, tenant)| tenant.clone());
        let mut next = Tenant { version: history.len() as u64 + 1, ..last };
        change(&mut next);
        history.push((now, next));
    }

    pub(crate) fn create(&self, key: &KeyHash) {
        self.write(key, |_| ());
    }

    /// The record of `key` that the store at `location` returns now.
    pub(crate) fn read_store(&self, location: usize, key: &KeyHash) -> Option<Tenant> {
        let mut state = self.state();
        let lag = u64::from(state.lags[state.reads % state.lags.len()]);
        state.reads += 1;
        let delay = u64::try_from(STORE_DELAY.as_millis()).unwrap();
        let longest = if state.rolled_back[location] { delay * 60 } else { delay };
        let visible_until = state.now.unix_millis() - i64::try_from(lag * longest / 1000).unwrap();
        let history = state.records.get(key)?;
        history
            .iter()
            .rev()
            .find(|(at, _)| at.unix_millis() <= visible_until)
            .map(|(_, tenant)| tenant.clone())
    }

    /// Runs all background tasks to completion.
    pub(crate) fn run_tasks(&self) {
        let tasks = std::mem::take(&mut self.state().tasks);
        tasks.into_iter().for_each(finish);
    }

    /// How many background tasks and how many calls to sources were ever started.
    pub(crate) fn started_counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.spawned, state.calls.len())
    }

    /// How many calls `source` has received.
    pub(crate) fn calls_to(&self, source: SourceName) -> usize {
        self.state().calls.iter().filter(|call| call.source == source).count()
    }
}

pub(crate) fn start() -> Timestamp {
    "2026-01-02T03:04:05.250Z".parse().unwrap()
}

pub(crate) fn api_key(number: u16) -> ApiKey {
    let mut random = [7; 32];
    random[..2].copy_from_slice(&number.to_be_bytes());
    ApiKey::generate("live", random).unwrap()
}

pub(crate) fn hash(number: u16) -> KeyHash {
    api_key(number).hash()
}

fn created(key: &KeyHash) -> Tenant {
    Tenant {
        project_id: "acme".parse().unwrap(),
        key_id: key.key_id(),
        scopes: vec![Scope::Upload, Scope::Playback],
        expires_at: None,
        revoked: false,
        suspended: false,
        measured: None,
        version: 1,
    }
}

/// The defaults, with limits on calls to the home region that no simulation reaches.
pub(crate) fn unlimited_calls() -> DirectoryConfig {
    let enough = Allowance { calls: 1_000_000, seconds: 1 };
    DirectoryConfig {
        home: HomeLimits { per_key: enough, cached: enough, uncached: enough },
        ..DirectoryConfig::default()
    }
}
