//! The slots of workers, which projects get in turn: one that has uploaded a thousand videos delays another one's first by one video for
//! each slot, not by a thousand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use streamio_events::id::ProjectId;
use tokio::sync::oneshot;

/// A fixed number of slots. Clones share them.
#[derive(Clone)]
pub(super) struct Slots(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// The projects that wait, in the order in which they get a slot, with their waiters in the order of their arrival. None is empty.
    waiting: VecDeque<(ProjectId, VecDeque<oneshot::Sender<Slot>>)>,
}

/// A slot. It is free again when this is dropped.
pub(super) struct Slot {
    /// `None` while nothing is to be done on a drop.
    slots: Option<Slots>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, waiting: VecDeque::new() })))
    }

    /// Waits for a slot. A future that is dropped gives up its place.
    pub(super) async fn acquire(&self, project_id: &ProjectId) -> Slot {
        let waiter = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Slot { slots: Some(self.clone()) };
            }
            let (sender, receiver) = oneshot::channel();
            match state.waiting.iter_mut().find(|(waiting, _)| waiting == project_id) {
                Some((_, waiters)) => waiters.push_back(sender),
                None => state.waiting.push_back((project_id.clone(), VecDeque::from([sender]))),
            }
            receiver
        };
        waiter.await.expect("a waiter leaves the queue only with a slot")
    }

    /// Gives a slot to the first waiter of the next project, or frees it.
    fn release(&self) {
        let mut state = self.lock();
        while let Some((project_id, mut waiters)) = state.waiting.pop_front() {
            // A waiter that gave up does not cost its project the turn.
            while let Some(next) = waiters.pop_front() {
                match next.send(Slot { slots: Some(self.clone()) }) {
                    Ok(()) => {
                        if !waiters.is_empty() {
                            state.waiting.push_back((project_id, waiters));
                        }
                        return;
                    }
                    // It must not be released again.
                    Err(mut slot) => slot.slots = None,
                }
            }
        }
        state.free += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            slots.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use proptest::prelude::*;

    use super::*;

    fn project(number: u8) -> ProjectId {
        format!("project-{number}").parse().unwrap()
    }

    /// Begins to wait: the slot, or the future that waits.
    fn begin(slots: &Slots, number: u8) -> Result<Slot, BoxFuture<'static, Slot>> {
        let slots = slots.clone();
        let mut waiting = async move { slots.acquire(&project(number)).await }.boxed();
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
            }
            drop(waiting);
            drop(held);
            prop_assert_eq!(slots.lock().free, count);
        }
    }
}
