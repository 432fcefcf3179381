//! The slots of workers, which projects get in turn: one that has uploaded a thousand videos delays another one's first by one video for
//! each slot, not by a thousand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use streamio_events::id::ProjectId;
use streamio_events::limits::Limit;
use tokio::sync::oneshot;

/// A fixed number of slots. Clones share them.
#[derive(Clone)]
pub(super) struct Slots(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// How many slots each project has. None has zero.
    held: HashMap<ProjectId, usize>,
    /// The projects that wait, in the order in which they get a slot. None is without waiters.
    waiting: VecDeque<Waiting>,
}

/// A project that waits.
struct Waiting {
    project_id: ProjectId,
    /// How many slots it may have.
    limit: Limit,
    /// In the order of their arrival.
    waiters: VecDeque<oneshot::Sender<Slot>>,
}

/// A slot. It is free again when this is dropped.
pub(super) struct Slot {
    project_id: ProjectId,
    /// `None` while nothing is to be done on a drop.
    slots: Option<Slots>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, held: HashMap::new(), waiting: VecDeque::new() })))
    }

    /// Waits for a slot, and until the project has fewer than `limit`. A future that is dropped gives up its place.
    pub(super) async fn acquire(&self, project_id: &ProjectId, limit: Limit) -> Slot {
        let waiter = {
            let mut state = self.lock();
            let (sender, receiver) = oneshot::channel();
            match state.waiting.iter_mut().find(|waiting| waiting.project_id == *project_id) {
                Some(waiting) => {
                    waiting.limit = limit;
                    waiting.waiters.push_back(sender);
                }
                None => state.waiting.push_back(Waiting {
                    project_id: project_id.clone(),
                    limit,
                    waiters: VecDeque::from([sender]),
                }),
            }
            self.give(&mut state);
            receiver
        };
        waiter.await.expect("a waiter leaves the queue only with a slot")
    }

    /// Changes how many slots a project that waits may have.
    pub(super) fn set_limit(&self, project_id: &ProjectId, limit: Limit) {
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.iter_mut().find(|waiting| waiting.project_id == *project_id) {
            waiting.limit = limit;
            self.give(&mut state);
        }
    }

    /// Gives free slots to the first waiters of the projects that may have more, in turn.
    fn give(&self, state: &mut State) {
        while state.free > 0 {
            let State { held, waiting, .. } = state;
            let may_have_more = |waiting: &Waiting| {
                let held = held.get(&waiting.project_id).copied().unwrap_or(0) as u64;
                !waiting.limit.is_exceeded_by(held + 1)
            };
            let Some(mut next) = waiting.iter().position(may_have_more).and_then(|at| waiting.remove(at))
            else {
                return;
            };
            // A waiter that gave up does not cost its project the turn.
            while let Some(waiter) = next.waiters.pop_front() {
                let slot = Slot { project_id: next.project_id.clone(), slots: Some(self.clone()) };
                match waiter.send(slot) {
                    Ok(()) => {
                        state.free -= 1;
                        *state.held.entry(next.project_id.clone()).or_default() += 1;
                        break;
                    }
                    // It was not given, so it must not be released.
                    Err(mut slot) => slot.slots = None,
                }
            }
            if !next.waiters.is_empty() {
                state.waiting.push_back(next);
            }
        }
    }

    fn release(&self, project_id: &ProjectId) {
        let mut state = self.lock();
        state.free += 1;
        if let Some(held) = state.held.get_mut(project_id) {
            *held -= 1;
            if *held == 0 {
                state.held.remove(project_id);
            }
        }
        self.give(&mut state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            slots.release(&self.project_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use proptest::prelude::*;

    use super::*;

    fn project(number: u8) -> ProjectId {
        format!("project-{number}").parse().unwrap()
    }

    /// Begins to wait: the slot, or the future that waits.
    fn begin(slots: &Slots, number: u8) -> Result<Slot, BoxFuture<'static, Slot>> {
        begin_within(slots, number, Limit::Unlimited)
    }

    fn begin_within(slots: &Slots, number: u8, limit: Limit) -> Result<Slot, BoxFuture<'static, Slot>> {
        let slots = slots.clone();
        let mut waiting = async move { slots.acquire(&project(number), limit).await }.boxed();
        match (&mut waiting).now_or_never() {
            Some(slot) => Ok(slot),
            None => Err(waiting),
        }
    }

    #[test]
    fn a_project_waits_for_one_slot_of_each_other_project_however_many_those_wait_for() {
        let slots = Slots::new(1);
        let mut running = begin(&slots, 0).unwrap_or_else(|_| panic!("it is free"));
        let mut flood: Vec<_> = (0..100).map(|_| begin(&slots, 1).err().unwrap()).collect();
        let mut other = begin(&slots, 2).err().unwrap();
        drop(running);
        running = flood.remove(0).now_or_never().expect("it came first");
        assert!((&mut other).now_or_never().is_none());
        drop(running);
        assert!(other.now_or_never().is_some(), "its turn comes before the flood's second one");
    }

    #[test]
    fn a_project_at_its_limit_waits_while_others_get_slots() {
        let (slots, two) = (Slots::new(4), Limit::AtMost(2));
        let mut held: Vec<_> = (0..2).map(|_| begin_within(&slots, 1, two).ok().expect("a slot")).collect();
        let third = begin_within(&slots, 1, two).err().expect("it is at its limit");
        let other = begin_within(&slots, 2, two).ok().expect("another project is not");
        held.pop();
        assert!(third.now_or_never().is_some());
        drop(other);
    }

    #[test]
    fn a_limit_that_is_raised_gives_slots_to_those_that_wait() {
        let slots = Slots::new(2);
        let waiting = begin_within(&slots, 1, Limit::AtMost(0)).err().expect("it may have none");
        slots.set_limit(&project(1), Limit::AtMost(1));
        assert!(waiting.now_or_never().is_some());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Acquire(u8),
        /// One of the held slots ends.
        Release(prop::sample::Index),
        /// One of the waiters gives up.
        GiveUp(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u8..4).prop_map(Step::Acquire),
            3 => any::<prop::sample::Index>().prop_map(Step::Release),
            1 => any::<prop::sample::Index>().prop_map(Step::GiveUp),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn no_project_exceeds_its_limit_and_no_slot_is_free_for_one_that_waits_within_it(
            count in 1usize..6, most in 1u64..4, steps in steps(),
        ) {
            let slots = Slots::new(count);
            let mut held: Vec<(u8, Slot)> = Vec::new();
            let mut waiting: Vec<(u8, BoxFuture<'static, Slot>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Acquire(number) => match begin_within(&slots, number, Limit::AtMost(most)) {
                        Ok(slot) => held.push((number, slot)),
                        Err(future) => waiting.push((number, future)),
                    },
                    Step::Release(index) if !held.is_empty() => drop(held.remove(index.index(held.len()))),
                    Step::GiveUp(index) if !waiting.is_empty() => {
                        drop(waiting.remove(index.index(waiting.len())));
                    }
                    _ => {}
                }
                for (number, mut future) in std::mem::take(&mut waiting) {
                    match (&mut future).now_or_never() {
                        Some(slot) => held.push((number, slot)),
                        None => waiting.push((number, future)),
                    }
                }
                let of = |number: u8| held.iter().filter(|(other, _)| *other == number).count() as u64;
                prop_assert!((0..4).all(|number| of(number) <= most));
                let is_free = held.len() < count;
                prop_assert!(waiting.iter().all(|(number, _)| of(*number) == most || !is_free));
            }
        }

        #[test]
        fn no_slot_is_lost_or_given_twice_and_turns_are_fair(count in 1usize..4, steps in steps()) {
            let slots = Slots::new(count);
            let mut held: Vec<Slot> = Vec::new();
            let mut waiting: Vec<(u8, BoxFuture<'static, Slot>)> = Vec::new();
            // For each waiting project, how many slots others got since it began to wait or got its last one.
            let mut passed: HashMap<u8, HashMap<u8, usize>> = HashMap::new();
            for step in steps {
                match step {
                    Step::Acquire(number) => match begin(&slots, number) {
                        Ok(slot) => held.push(slot),
                        Err(future) => {
                            passed.entry(number).or_default();
                            waiting.push((number, future));
                        }
                    },
                    Step::Release(index) if !held.is_empty() => drop(held.remove(index.index(held.len()))),
                    Step::GiveUp(index) if !waiting.is_empty() => {
                        let (number, _) = waiting.remove(index.index(waiting.len()));
                        if waiting.iter().all(|(other, _)| *other != number) {
                            passed.remove(&number);
                        }
                    }
                    _ => {}
                }
                let mut still = Vec::new();
                for (number, mut future) in std::mem::take(&mut waiting) {
                    let Some(slot) = (&mut future).now_or_never() else {
                        still.push((number, future));
                        continue;
                    };
                    held.push(slot);
                    passed.insert(number, HashMap::new());
                    for (other, counts) in &mut passed {
                        if *other != number {
                            let count = counts.entry(number).or_default();
                            *count += 1;
                            prop_assert!(*count <= 2, "project {} is passed by {} again and again", other, number);
                        }
                    }
                }
                waiting = still;
                passed.retain(|number, _| waiting.iter().any(|(other, _)| other == number));
                prop_assert!(held.len() <= count);
                prop_assert!(waiting.is_empty() || held.len() == count, "a slot is free, and one waits");
                prop_assert_eq!(slots.lock().held.values().sum::<usize>(), held.len());
            }
            drop(waiting);
            drop(held);
            prop_assert_eq!(slots.lock().free, count);
        }
    }
}
