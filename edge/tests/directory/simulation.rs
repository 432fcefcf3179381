//! Isolates with lookups that overlap, are dropped, and finish in any order. Every result is checked.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use streamio_edge::directory::{
    Directory as _, DirectoryConfig, DirectoryError, FoundTenant, ReplicatedDirectory, Tolerance,
};
use streamio_events::api_key::KeyHash;
use streamio_events::timestamp::Timestamp;

use crate::test_directory::{STORE_DELAY, TestDirectory, hash};

pub(crate) type LookupResult = Result<Option<FoundTenant>, DirectoryError>;

struct Lookup {
    isolate: usize,
    key: KeyHash,
    started_at: Timestamp,
    tolerance: Tolerance,
    future: Pin<Box<dyn Future<Output = LookupResult>>>,
}

pub(crate) struct Simulation {
    pub(crate) harness: TestDirectory,
    config: DirectoryConfig,
    isolates: Vec<Arc<ReplicatedDirectory>>,
    lookups: Vec<Lookup>,
    /// The newest version that each isolate returned, and whether it refused access.
    newest: HashMap<(usize, KeyHash), (u64, bool)>,
    /// When each isolate last started a background refresh.
    refreshed: HashMap<(usize, KeyHash), Timestamp>,
    /// How often each kind of result was returned.
    pub(crate) result_counts: ResultCounts,
}

/// How often each kind of result was returned. A simulation without one of them proves nothing about it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ResultCounts {
    pub(crate) accepted: usize,
    pub(crate) accepted_after_revocation: usize,
    pub(crate) refused: usize,
    pub(crate) stale: usize,
    pub(crate) unknown: usize,
    pub(crate) unavailable: usize,
}

/// Polls `future` once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls `future` until it completes. The simulated sources only yield, so a few polls are enough.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100 {
        if let Poll::Ready(value) = poll(future.as_mut()) {
            return value;
        }
    }
    panic!("the future does not complete");
}

/// A complete lookup without interleaving.
pub(crate) fn look_up(
    harness: &TestDirectory,
    isolate: &ReplicatedDirectory,
    number: u16,
    tolerance: Tolerance,
) -> LookupResult {
    let (key, now) = (hash(number), harness.now());
    finish(isolate.lookup(&key, now, tolerance))
}

impl Simulation {
    pub(crate) fn new(harness: TestDirectory, isolates: usize, config: DirectoryConfig) -> Self {
        let isolates = (0..isolates).map(|number| harness.isolate(number, &config)).collect();
        let (newest, refreshed) = (HashMap::new(), HashMap::new());
        Self {
            harness,
            config,
            isolates,
            lookups: Vec::new(),
            newest,
            refreshed,
            result_counts: ResultCounts::default(),
        }
    }

    /// Starts a lookup. It may complete at once.
    pub(crate) fn start_lookup(&mut self, isolate: usize, number: u16, tolerance: Tolerance) {
        let isolate = isolate % self.isolates.len();
        let (key, started_at) = (hash(number), self.harness.now());
        let directory = self.isolates[isolate].clone();
        let future = Box::pin(async move { directory.lookup(&key, started_at, tolerance).await });
        let before = self.harness.started_counts();
        self.lookups.push(Lookup { isolate, key, started_at, tolerance, future });
        let completed = self.poll_lookup(self.lookups.len() - 1);

        let after = self.harness.started_counts();
        if completed {
            assert_eq!(before.1, after.1, "a cached result called a source");
        } else {
            assert_eq!(before.0, after.0, "a waiting lookup started a refresh as well");
        }
        if after.0 > before.0 && self.caches_all_keys() {
            assert_eq!(after.0, before.0 + 1, "one lookup started several refreshes");
            if let Some(last) = self.refreshed.insert((isolate, key), started_at) {
                assert!(started_at.since(last) >= self.config.lease, "two refreshes within one lease");
            }
        }
    }

    /// Polls one lookup; returns whether it completed.
    pub(crate) fn poll_lookup(&mut self, index: usize) -> bool {
        let Some(index) = index.checked_rem(self.lookups.len()) else { return false };
        let Poll::Ready(result) = poll(self.lookups[index].future.as_mut()) else { return false };
        let lookup = self.lookups.swap_remove(index);
        self.check(&lookup, result);
        true
    }

    /// Polls all lookups until they complete.
    pub(crate) fn finish(&mut self) {
        while !self.lookups.is_empty() {
            self.poll_lookup(self.lookups.len() - 1);
        }
    }

    /// Drops a lookup, as when its client disconnects.
    pub(crate) fn drop_lookup(&mut self, index: usize) {
        if let Some(index) = index.checked_rem(self.lookups.len()) {
            self.lookups.swap_remove(index);
        }
    }

    /// Runs or drops a background task.
    pub(crate) fn finish_task(&self, index: usize, run: bool) {
        let mut state = self.harness.state();
        let Some(index) = index.checked_rem(state.tasks.len()) else { return };
        let task = state.tasks.swap_remove(index);
        drop(state);
        if run {
            finish(task);
        }
    }

    fn caches_all_keys(&self) -> bool {
        self.config.max_tenants > 100
    }

    fn check(&mut self, lookup: &Lookup, result: LookupResult) {
        let Lookup { isolate, key, started_at, tolerance, .. } = *lookup;
        let state = self.harness.state();
        let history = state.records.get(&key).map_or(&[][..], Vec::as_slice);
        let ever_rolled_back = state.rolled_back.contains(&true);
        let caches_all_keys = self.caches_all_keys();
        match result {
            Ok(Some(FoundTenant { tenant, stale_for })) => {
                let late = stale_for.unwrap_or_default();
                assert!(
                    stale_for.is_none() || tolerance == Tolerance::Stale,
                    "stale although the tolerance is strict"
                );
                assert!(late <= self.config.stale, "stale for {late:?}");
                assert_ne!(stale_for, Some(Duration::ZERO));

                let index = history.iter().position(|(_, record)| *record == *tenant);
                let index = index.expect("a returned tenant must have been written");
                let replaced_at = history.get(index + 1).map(|(at, _)| *at);
                let bound = STORE_DELAY + self.config.hard + late;
                if let Some(replaced_at) = replaced_at
                    && !ever_rolled_back
                {
                    let old = started_at.since(replaced_at);
                    assert!(old <= bound, "returned a record that was replaced {old:?} before");
                }
                let revoked_at = history.iter().find(|(_, record)| record.revoked).map(|(at, _)| *at);
                if let Some(revoked_at) = revoked_at
                    && !tenant.revoked
                {
                    let late = started_at.since(revoked_at);
                    assert!(ever_rolled_back || late <= bound, "accepted {late:?} after its revocation");
                    self.result_counts.accepted_after_revocation += 1;
                }
                let refuses = tenant.revoked || tenant.suspended;
                let returned = (tenant.version, refuses);
                let newest = self.newest.insert((isolate, key), returned);
                if let Some(newest) = newest
                    && caches_all_keys
                {
                    assert!(newest <= returned, "went back from {newest:?} to {returned:?}");
                }
                self.result_counts.stale += usize::from(stale_for.is_some());
                self.result_counts.accepted += usize::from(!refuses);
                self.result_counts.refused += usize::from(refuses);
            }
            Ok(None) => {
                if let Some((created_at, _)) = history.first() {
                    let late = started_at.since(*created_at);
                    assert!(late <= self.config.unknown, "unknown {late:?} after its creation");
                }
                assert!(!self.newest.contains_key(&(isolate, key)), "unknown after it was found");
                self.result_counts.unknown += 1;
            }
            Err(_) => {
                let memory = self.config.lease + self.config.retry;
                let was_down = state.home_was_down.is_some_and(|at| started_at.since(at) < memory);
                assert!(was_down, "failed for an outage that had ended");
                self.result_counts.unavailable += 1;
            }
        }
    }
}
