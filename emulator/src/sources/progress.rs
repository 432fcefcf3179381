//! The progress of a mapping, and its control by tests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::discarded::Discarded;

/// Counters of a mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MappingCounters {
    /// Invocations of the function.
    pub invocations: u64,
    /// Invocations that were throttled. [`MappingCounters::invocations`] does not include them.
    pub throttled: u64,
    /// Invocations after which at least one record was not done.
    pub failures: u64,
    /// Records that are done.
    pub delivered: u64,
    /// Records that were discarded.
    pub discarded: u64,
}

#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
    /// Notified when the state changes.
    changed: watch::Sender<()>,
    enabled: watch::Sender<bool>,
    /// Notified when shards should be listed without waiting.
    discover_now: Notify,
}

#[derive(Debug, Default)]
struct State {
    counters: MappingCounters,
    discarded: Vec<Discarded>,
    redeliveries: u32,
    shards: HashMap<String, ShardState>,
    /// The start of the latest complete listing of the shards.
    discovered: Option<Instant>,
}

#[derive(Debug, Default)]
struct ShardState {
    /// Records that were read and are neither done nor discarded.
    pending: usize,
    /// The start of the latest read that returned no record.
    empty: Option<Instant>,
    /// Whether the shard is closed and every record is done or discarded.
    is_done: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            enabled: watch::Sender::new(true),
            discover_now: Notify::new(),
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
        self.change(|state| state.discovered = Some(begun));
    }

    /// Waits until the shards should be listed again.
    pub(super) async fn wait_for_next_discovery(&self, period: Duration) {
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            () = self.discover_now.notified() => {}
        }
    }

    pub(super) fn read(&self, shard: &str, records: usize) {
        self.change_shard(shard, |shard| shard.pending += records);
    }

    pub(super) fn read_nothing(&self, shard: &str, begun: Instant) {
        self.change_shard(shard, |shard| shard.empty = Some(begun));
    }

    pub(super) fn done(&self, shard: &str) {
        self.change_shard(shard, |shard| shard.is_done = true);
        self.discover_now.notify_one();
    }

    pub(super) fn delivered(&self, shard: &str, records: usize) {
        self.change_shard(shard, |shard| shard.pending -= records);
        self.count(|counters| counters.delivered += records as u64);
    }

    pub(super) fn discard(&self, shard: &str, discarded: Discarded) {
        let records = discarded.sequences.len();
        self.change(|state| {
            state.counters.discarded += records as u64;
            state.discarded.push(discarded);
        });
        self.change_shard(shard, |shard| shard.pending -= records);
    }

    fn change_shard(&self, shard: &str, change: impl FnOnce(&mut ShardState)) {
        self.change(|state| change(state.shards.entry(shard.to_owned()).or_default()));
    }

    pub(super) async fn wait_until_caught_up(&self, since: Instant) {
        self.discover_now.notify_one();
        let mut changed = self.changed.subscribe();
        loop {
            let is_caught_up = {
                let state = self.state();
                let is_after = |time: Option<Instant>| time.is_some_and(|time| time >= since);
                is_after(state.discovered)
                    && state
                        .shards
                        .values()
                        .all(|shard| shard.is_done || (shard.pending == 0 && is_after(shard.empty)))
            };
            // Cannot fail: `self` owns the sender.
            if is_caught_up || changed.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn redeliver_next(&self, times: u32) {
        self.state().redeliveries += times;
    }

    /// Whether a batch that has just succeeded must be delivered again. Decrements the number of redeliveries.
    pub(super) fn take_redelivery(&self) -> bool {
        let mut state = self.state();
        let is_taken = state.redeliveries > 0;
        state.redeliveries -= u32::from(is_taken);
        is_taken
    }

    pub(super) fn set_enabled(&self, enabled: bool) {
        self.enabled.send_replace(enabled);
    }

    /// Waits while the mapping is paused.
    pub(super) async fn wait_until_enabled(&self) {
        // Cannot fail: `self` owns the sender.
        let _ = self.enabled.subscribe().wait_for(|enabled| *enabled).await;
    }
}
