//! Isolates whose look-ups overlap, are dropped, and finish in any order; every answer is held against the laws.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use streamio_edge::directory::{
    Directory as _, DirectoryConfig, DirectoryError, Known, ReplicatedDirectory, Tolerance,
};
use streamio_events::api_key::KeyHash;
use streamio_events::timestamp::Timestamp;

use crate::world::{STORE_DELAY, World, hash};

pub(crate) type Answer = Result<Option<Known>, DirectoryError>;

struct Lookup {
    isolate: usize,
    key: KeyHash,
    began: Timestamp,
    tolerance: Tolerance,
    answer: Pin<Box<dyn Future<Output = Answer>>>,
}

pub(crate) struct Simulation {
    pub(crate) world: World,
    config: DirectoryConfig,
    isolates: Vec<Arc<ReplicatedDirectory>>,
    lookups: Vec<Lookup>,
    /// The newest version that each isolate answered with, and whether it let nobody in.
    newest: HashMap<(usize, KeyHash), (u64, bool)>,
    /// When each isolate last began a background refresh.
    refreshed: HashMap<(usize, KeyHash), Timestamp>,
    /// Answers that were held against the laws.
    pub(crate) answers: Tally,
}

/// How often each kind of answer was given: a simulation that never sees one proves nothing about it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
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

/// Polls `future` until it ends. Nothing here waits for anything but its next turn.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100 {
        if let Poll::Ready(value) = poll(future.as_mut()) {
            return value;
        }
    }
    panic!("the future waits for something that never comes");
}

/// One whole look-up, without anything in between.
pub(crate) fn look_up(
    world: &World,
    isolate: &ReplicatedDirectory,
    number: u16,
    tolerance: Tolerance,
) -> Answer {
    let (key, now) = (hash(number), world.now());
    finish(isolate.lookup(&key, now, tolerance))
}

impl Simulation {
    pub(crate) fn new(world: World, isolates: usize, config: DirectoryConfig) -> Self {
        let isolates = (0..isolates).map(|number| world.isolate(number, &config)).collect();
        let (newest, refreshed) = (HashMap::new(), HashMap::new());
        Self { world, config, isolates, lookups: Vec::new(), newest, refreshed, answers: Tally::default() }
    }

    /// Begins a look-up. It may end at once.
    pub(crate) fn begin(&mut self, isolate: usize, number: u16, tolerance: Tolerance) {
        let isolate = isolate % self.isolates.len();
        let (key, began) = (hash(number), self.world.now());
        let directory = self.isolates[isolate].clone();
        let answer = Box::pin(async move { directory.lookup(&key, began, tolerance).await });
        let before = self.world.begun();
        self.lookups.push(Lookup { isolate, key, began, tolerance, answer });
        let ended = self.go_on(self.lookups.len() - 1);

        let after = self.world.begun();
        if ended {
            assert_eq!(before.1, after.1, "an answer from memory asked a source");
        } else {
            assert_eq!(before.0, after.0, "a look-up that waits began a refresh besides");
        }
        if after.0 > before.0 && self.nothing_is_forgotten() {
            assert_eq!(after.0, before.0 + 1, "one look-up began several refreshes");
            if let Some(last) = self.refreshed.insert((isolate, key), began) {
                assert!(began.since(last) >= self.config.lease, "two refreshes within one lease");
            }
        }
    }

    /// Lets one look-up go on, and says whether it ended.
    pub(crate) fn go_on(&mut self, index: usize) -> bool {
        let Some(index) = index.checked_rem(self.lookups.len()) else { return false };
        let Poll::Ready(answer) = poll(self.lookups[index].answer.as_mut()) else { return false };
        let lookup = self.lookups.swap_remove(index);
        self.check(&lookup, answer);
        true
    }

    /// Lets all look-ups go on until they have ended.
    pub(crate) fn finish(&mut self) {
        while !self.lookups.is_empty() {
            self.go_on(self.lookups.len() - 1);
        }
    }

    /// A client has gone, and its request with it.
    pub(crate) fn drop_lookup(&mut self, index: usize) {
        if let Some(index) = index.checked_rem(self.lookups.len()) {
            self.lookups.swap_remove(index);
        }
    }

    /// Runs a background task, or lets it vanish.
    pub(crate) fn end_task(&self, index: usize, run: bool) {
        let mut state = self.world.state();
        let Some(index) = index.checked_rem(state.tasks.len()) else { return };
        let task = state.tasks.swap_remove(index);
        drop(state);
        if run {
            finish(task);
        }
    }

    fn nothing_is_forgotten(&self) -> bool {
        self.config.held_tenants > 100
    }

    fn check(&mut self, lookup: &Lookup, answer: Answer) {
        let Lookup { isolate, key, began, tolerance, .. } = *lookup;
        let state = self.world.state();
        let history = state.records.get(&key).map_or(&[][..], Vec::as_slice);
        let ever_rolled_back = state.rolled_back.contains(&true);
        let nothing_is_forgotten = self.nothing_is_forgotten();
        match answer {
            Ok(Some(Known { tenant, stale_for })) => {
                let late = stale_for.unwrap_or_default();
                assert!(
                    stale_for.is_none() || tolerance == Tolerance::Stale,
                    "stale, though nobody allowed it"
                );
                assert!(late <= self.config.stale, "stale for {late:?}");
                assert_ne!(stale_for, Some(Duration::ZERO));

                let index = history.iter().position(|(_, record)| *record == *tenant);
                let index = index.expect("an answer that was never written");
                let replaced_at = history.get(index + 1).map(|(at, _)| *at);
                let bound = STORE_DELAY + self.config.hard + late;
                if let Some(replaced_at) = replaced_at
                    && !ever_rolled_back
                {
                    let old = began.since(replaced_at);
                    assert!(old <= bound, "answered with what was replaced {old:?} before");
                }
                let revoked_at = history.iter().find(|(_, record)| record.revoked).map(|(at, _)| *at);
                if let Some(revoked_at) = revoked_at
                    && !tenant.revoked
                {
                    let late = began.since(revoked_at);
                    assert!(ever_rolled_back || late <= bound, "accepted {late:?} after its revocation");
                    self.answers.accepted_after_revocation += 1;
                }
                let refuses = tenant.revoked || tenant.suspended;
                let seen = (tenant.version, refuses);
                let newest = self.newest.insert((isolate, key), seen);
                if let Some(newest) = newest
                    && nothing_is_forgotten
                {
                    assert!(newest <= seen, "went back from {newest:?} to {seen:?}");
                }
                self.answers.stale += usize::from(stale_for.is_some());
                self.answers.accepted += usize::from(!refuses);
                self.answers.refused += usize::from(refuses);
            }
            Ok(None) => {
                if let Some((created_at, _)) = history.first() {
                    let late = began.since(*created_at);
                    assert!(late <= self.config.unknown, "unknown {late:?} after its creation");
                }
                assert!(!self.newest.contains_key(&(isolate, key)), "unknown after it was known");
                self.answers.unknown += 1;
            }
            Err(_) => {
                let memory = self.config.lease + self.config.retry;
                let was_down = state.home_was_down.is_some_and(|at| began.since(at) < memory);
                assert!(was_down, "refused for an outage that was over");
                self.answers.unavailable += 1;
            }
        }
    }
}
