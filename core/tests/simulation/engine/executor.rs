//! The executor and its clock.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::channel::oneshot;

use super::Millis;

/// A process: its tasks end together when it crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessId(u64);

/// Why a run ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The caller asked for it.
    OnRequest,
    /// More steps than a run can need: some process never waits, or never ends.
    TooManySteps,
}

type BoxedFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type TimerKey = (Millis, u64, u64);

/// Executes tasks in virtual time.
pub(crate) struct Engine {
    inner: Mutex<Inner>,
    ready: Arc<Ready>,
}

struct Inner {
    now: Millis,
    random: fastrand::Rng,
    next_id: u64,
    timers: BTreeMap<TimerKey, Waker>,
    tasks: BTreeMap<u64, Task>,
    killed: BTreeSet<ProcessId>,
}

struct Task {
    process: ProcessId,
    /// Absent while the task runs.
    future: Option<BoxedFuture>,
}

/// The tasks that can run.
#[derive(Default)]
struct Ready(Mutex<BTreeSet<u64>>);

struct TaskWaker {
    task: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.ready.0).insert(self.task);
    }
}

/// The largest number of polls of a run.
const MAX_STEPS: u64 = 1_000_000;

impl Engine {
    /// Returns an engine whose order of execution is determined by `seed`.
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let inner = Inner {
            now: 0,
            random: fastrand::Rng::with_seed(seed),
            next_id: 0,
            timers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            killed: BTreeSet::new(),
        };
        Arc::new(Self { inner: Mutex::new(inner), ready: Arc::default() })
    }

    /// The virtual time.
    pub(crate) fn now(&self) -> Millis {
        lock(&self.inner).now
    }

    /// Returns a new process without tasks.
    pub(crate) fn process(&self) -> ProcessId {
        ProcessId(lock(&self.inner).take_id())
    }

    /// Starts a task of `process`. The receiver gets its result, or is cancelled when the process crashes.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        process: ProcessId,
        future: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        let future = Box::pin(async move {
            let result = future.await;
            // Nobody may wait for it.
            let _ = sender.send(result);
        });
        let mut inner = lock(&self.inner);
        let task = inner.take_id();
        inner.tasks.insert(task, Task { process, future: Some(future) });
        lock(&self.ready.0).insert(task);
        receiver
    }

    /// Starts a task of `process` whose result nobody waits for.
    pub(crate) fn start(&self, process: ProcessId, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.spawn(process, future));
    }

    /// Ends all tasks of `process`, wherever they wait. A task that ends its own process has to wait without an end after that.
    pub(crate) fn kill(&self, process: ProcessId) {
        let mut inner = lock(&self.inner);
        inner.killed.insert(process);
        let ended: Vec<u64> = inner
            .tasks
            .iter()
            .filter(|(_, task)| task.process == process && task.future.is_some())
            .map(|(id, _)| *id)
            .collect();
        let ended: Vec<_> = ended.into_iter().map(|id| inner.tasks.remove(&id)).collect();
        drop(inner);
        // Futures lock the engine when they are dropped.
        drop(ended);
    }

    /// Waits for `duration`.
    pub(crate) fn sleep(self: &Arc<Self>, duration: Millis) -> Sleep {
        let at = self.now() + duration;
        Sleep { engine: Arc::clone(self), at, key: None }
    }

    /// Runs until the clock reaches `end`, or until `is_over`, which is asked after each step.
    pub(crate) fn run_until(&self, end: Millis, is_over: impl Fn() -> bool) -> Result<u64, Stopped> {
        let mut steps = 0;
        loop {
            while let Some(task) = self.take_ready() {
                self.poll(task);
                steps += 1;
                if is_over() {
                    return Err(Stopped::OnRequest);
                }
                if steps >= MAX_STEPS {
                    return Err(Stopped::TooManySteps);
                }
            }
            let mut inner = lock(&self.inner);
            match inner.timers.first_key_value() {
                Some(((at, _, _), _)) if *at <= end => {}
                _ => {
                    inner.now = end;
                    return Ok(steps);
                }
            }
            if let Some(((at, _, _), waker)) = inner.timers.pop_first() {
                inner.now = at;
                drop(inner);
                waker.wake();
            }
        }
    }

    /// Ends all tasks.
    pub(crate) fn shut_down(&self) {
        let tasks = std::mem::take(&mut lock(&self.inner).tasks);
        drop(tasks);
    }

    fn take_ready(&self) -> Option<u64> {
        let mut ready = lock(&self.ready.0);
        let index = match ready.len() {
            0 => return None,
            1 => 0,
            count => lock(&self.inner).random.usize(..count),
        };
        let task = ready.iter().nth(index).copied()?;
        ready.remove(&task);
        Some(task)
    }

    fn poll(&self, id: u64) {
        let taken = lock(&self.inner).tasks.get_mut(&id).and_then(|task| task.future.take());
        let Some(mut future) = taken else { return };
        let waker = Waker::from(Arc::new(TaskWaker { task: id, ready: Arc::clone(&self.ready) }));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut inner = lock(&self.inner);
        let ended =
            polled.is_ready() || inner.tasks.get(&id).is_none_or(|task| inner.killed.contains(&task.process));
        if ended {
            let task = inner.tasks.remove(&id);
            drop(inner);
            drop((future, task));
        } else if let Some(task) = inner.tasks.get_mut(&id) {
            task.future = Some(future);
        }
    }
}

impl Inner {
    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// A wait; see [`Engine::sleep`].
pub(crate) struct Sleep {
    engine: Arc<Engine>,
    at: Millis,
    key: Option<TimerKey>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let engine = Arc::clone(&self.engine);
        let mut inner = lock(&engine.inner);
        if inner.now >= self.at {
            return Poll::Ready(());
        }
        let key = self.key.unwrap_or_else(|| (self.at, inner.random.u64(..), inner.take_id()));
        self.key = Some(key);
        inner.timers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            lock(&self.engine.inner).timers.remove(&key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order_of(seed: u64) -> Vec<(Millis, u32)> {
        let engine = Engine::new(seed);
        let steps = Arc::new(Mutex::new(Vec::new()));
        for task in 0..5 {
            let (engine_of_task, own_steps) = (Arc::clone(&engine), Arc::clone(&steps));
            engine.start(engine.process(), async move {
                for _ in 0..3 {
                    engine_of_task.sleep(10).await;
                    own_steps.lock().unwrap().push((engine_of_task.now(), task));
                }
            });
        }
        assert!(engine.run_until(100, || false).is_ok());
        assert_eq!(engine.now(), 100);
        Arc::try_unwrap(steps).unwrap().into_inner().unwrap()
    }

    #[test]
    fn a_seed_determines_the_order_and_seeds_differ() {
        assert_eq!(order_of(1), order_of(1));
        assert!((2..10).any(|seed| order_of(seed) != order_of(1)));
        assert_eq!(order_of(1).iter().map(|(at, _)| at).max(), Some(&30));
    }

    #[test]
    fn a_killed_process_ends_at_its_wait_and_its_waiter_is_notified() {
        let engine = Engine::new(1);
        let process = engine.process();
        let sleeper = Arc::clone(&engine);
        let ended = engine.spawn(process, async move { sleeper.sleep(50).await });
        let killer = Arc::clone(&engine);
        let result = engine.spawn(engine.process(), async move {
            killer.sleep(10).await;
            killer.kill(process);
            (ended.await.is_err(), killer.now())
        });
        assert!(engine.run_until(100, || false).is_ok());
        assert_eq!(futures::executor::block_on(result), Ok((true, 10)));
    }
}
