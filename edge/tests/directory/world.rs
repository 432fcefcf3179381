//! The world around isolates: the truth about every key and when it changed, what is down, and the clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use streamio_edge::directory::{
    Allowance, DirectoryConfig, DirectoryPorts, HomeLimits, ReplicatedDirectory, SourceName, StoredTenants,
    Tenant,
};
use streamio_edge::port::BackgroundTask;
use streamio_events::api_key::{ApiKey, KeyHash};
use streamio_events::event::Scope;
use streamio_events::timestamp::Timestamp;

use crate::simulation::finish;
use crate::sources::{Failures, Home, Later, Store};

/// After this no read of the key-value store is older than a write, unless a test rolls it back further.
pub(crate) const STORE_DELAY: Duration = Duration::from_mins(1);

/// How many places there are, each with its own view of the key-value store.
pub(crate) const LOCATIONS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Up,
    Down,
    /// Answers with what is no tenant.
    Garbled,
}

/// A question that a source was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
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
    /// The store may answer with records of any age.
    pub(crate) rolled_back: [bool; LOCATIONS],
    pub(crate) home_is_up: bool,
    /// The last time at which the home region was down.
    pub(crate) home_was_down: Option<Timestamp>,
    pub(crate) questions: Vec<Question>,
    pub(crate) failures: Vec<(SourceName, String)>,
    /// Background tasks that have not been run.
    pub(crate) tasks: Vec<BackgroundTask>,
    /// How many background tasks were ever begun.
    pub(crate) spawned: usize,
    /// How late the store's reads are, in thousandths of its delay, used in turns.
    pub(crate) lags: Vec<u16>,
    reads: usize,
}

/// Cloning gives another handle to the same world.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<State>>);

impl World {
    /// A world where all is well and the store is never late.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            now: start(),
            records: HashMap::new(),
            store: [Health::Up; LOCATIONS],
            rolled_back: [false; LOCATIONS],
            home_is_up: true,
            home_was_down: None,
            questions: Vec::new(),
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

    pub(crate) fn pass(&self, time: Duration) {
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
        let store = Store { world: self.clone(), isolate: number, location: number % LOCATIONS };
        let ports = DirectoryPorts {
            store: Arc::new(StoredTenants::new(Arc::new(store))),
            home: Arc::new(Home { world: self.clone(), isolate: number }),
            background: Arc::new(Later(self.clone())),
            failures: Arc::new(Failures(self.clone())),
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

    /// What the store of `location` answers about `key` now.
    pub(crate) fn read_store(&self, location: usize, key: &KeyHash) -> Option<Tenant> {
        let mut state = self.state();
        let lag = u64::from(state.lags[state.reads % state.lags.len()]);
        state.reads += 1;
        let delay = u64::try_from(STORE_DELAY.as_millis()).unwrap();
        let longest = if state.rolled_back[location] { delay * 60 } else { delay };
        let seen = state.now.unix_millis() - i64::try_from(lag * longest / 1000).unwrap();
        let history = state.records.get(key)?;
        history.iter().rev().find(|(at, _)| at.unix_millis() <= seen).map(|(_, tenant)| tenant.clone())
    }

    /// Runs every background task to its end.
    pub(crate) fn run_tasks(&self) {
        let tasks = std::mem::take(&mut self.state().tasks);
        tasks.into_iter().for_each(finish);
    }

    /// How many background tasks and how many questions were ever begun.
    pub(crate) fn begun(&self) -> (usize, usize) {
        let state = self.state();
        (state.spawned, state.questions.len())
    }

    /// How often `source` was asked by anyone about anything.
    pub(crate) fn asked(&self, source: SourceName) -> usize {
        self.state().questions.iter().filter(|question| question.source == source).count()
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
        version: 1,
    }
}

/// The defaults with so many calls to the home region allowed that no simulation meets the limit.
pub(crate) fn unlimited() -> DirectoryConfig {
    let enough = Allowance { calls: 1_000_000, seconds: 1 };
    DirectoryConfig {
        home: HomeLimits { per_key: enough, held: enough, strangers: enough },
        ..DirectoryConfig::default()
    }
}
