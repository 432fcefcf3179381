//! How far a mapping is, and what a test asks of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::discarded::Discarded;

/// Counts of one mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MappingCounters {
    /// Invocations that came to the function.
    pub invocations: u64,
    /// Those that did not.
    pub throttled: u64,
    /// Invocations after which at least one record was to be tried again.
    pub failures: u64,
    /// Records that are done.
    pub delivered: u64,
    /// Records that were given up.
    pub discarded: u64,
}

#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
    /// Something in the state has changed.
    changed: watch::Sender<()>,
    enabled: watch::Sender<bool>,
    look_for_shards: Notify,
}

#[derive(Debug, Default)]
struct State {
    counters: MappingCounters,
    discarded: Vec<Discarded>,
    redeliveries: u32,
    shards: HashMap<String, ShardState>,
    /// When the latest look for shards began that came to an end.
    looked: Option<Instant>,
}

#[derive(Debug, Default)]
struct ShardState {
    /// Records that were read and are neither done nor given up.
    pending: usize,
    /// When the latest read began that found nothing.
    empty: Option<Instant>,
    /// It is closed, and every record of it is done or given up.
    is_done: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            enabled: watch::Sender::new(true),
            look_for_shards: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.send_replace(());
        changed
    }

    pub(super) fn counters(&self) -> MappingCounters {
        self.state().counters
    }

    pub(super) fn discarded(&self) -> Vec<Discarded> {
        self.state().discarded.clone()
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut MappingCounters)) {
        self.change(|state| count(&mut state.counters));
    }

    pub(super) fn add_shard(&self, shard: &str) {
        self.change(|state| {
            state.shards.entry(shard.to_owned()).or_default();
        });
    }

    pub(super) fn is_done(&self, shard: &str) -> bool {
        self.state().shards.get(shard).is_some_and(|shard| shard.is_done)
    }

    pub(super) fn discovered(&self, begun: Instant) {
        self.change(|state| state.looked = Some(begun));
    }

    /// Waits for the time of the next look for shards, or until it is wanted at once.
    pub(super) async fn discovery_due(&self, period: Duration) {
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            () = self.look_for_shards.notified() => {}
        }
    }

    pub(super) fn read(&self, shard: &str, records: usize) {
        self.of(shard, |shard| shard.pending += records);
    }

    pub(super) fn found_nothing(&self, shard: &str, begun: Instant) {
        self.of(shard, |shard| shard.empty = Some(begun));
    }

    pub(super) fn done(&self, shard: &str) {
        self.of(shard, |shard| shard.is_done = true);
        self.look_for_shards.notify_one();
    }

    pub(super) fn delivered(&self, shard: &str, records: usize) {
        self.of(shard, |shard| shard.pending -= records);
        self.count(|counters| counters.delivered += records as u64);
    }

    pub(super) fn gave_up(&self, shard: &str, discarded: Discarded) {
        let records = discarded.sequences.len();
        self.change(|state| {
            state.counters.discarded += records as u64;
            state.discarded.push(discarded);
        });
        self.of(shard, |shard| shard.pending -= records);
    }

    fn of(&self, shard: &str, change: impl FnOnce(&mut ShardState)) {
        self.change(|state| change(state.shards.entry(shard.to_owned()).or_default()));
    }

    pub(super) async fn caught_up(&self, since: Instant) {
        self.look_for_shards.notify_one();
        let mut changed = self.changed.subscribe();
        loop {
            let is_caught_up = {
                let state = self.state();
                let is_after = |time: Option<Instant>| time.is_some_and(|time| time >= since);
                is_after(state.looked)
                    && state
                        .shards
                        .values()
                        .all(|shard| shard.is_done || (shard.pending == 0 && is_after(shard.empty)))
            };
            // The sender lives as long as this.
            if is_caught_up || changed.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn redeliver_next(&self, times: u32) {
        self.state().redeliveries += times;
    }

    /// Whether a batch that has just succeeded is to be delivered once more, which is then used up.
    pub(super) fn takes_redelivery(&self) -> bool {
        let mut state = self.state();
        let takes = state.redeliveries > 0;
        state.redeliveries -= u32::from(takes);
        takes
    }

    pub(super) fn set_enabled(&self, enabled: bool) {
        self.enabled.send_replace(enabled);
    }

    /// Waits while the mapping is paused.
    pub(super) async fn enabled(&self) {
        // The sender lives as long as this.
        let _ = self.enabled.subscribe().wait_for(|enabled| *enabled).await;
    }
}
