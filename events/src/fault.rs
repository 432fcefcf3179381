//! A log that fails on purpose, for tests of retries.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::commit::{Head, NewCommit};
use crate::event::RecordedEvent;
use crate::id::CommitId;
use crate::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use crate::stream::StreamId;

/// What happens to one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The call succeeds.
    None,
    /// The call returns `Unavailable` and does not reach the log.
    Before,
    /// The call reaches the log and takes effect, but its response is lost: it returns `Unavailable`. For reads the
    /// same as [`Self::Before`].
    After,
    /// Another client appends to the same stream first: an event of an unknown type, which folds ignore. For reads the
    /// same as [`Self::None`].
    Race,
    /// Another client appends this commit to the same stream first. For reads the same as [`Self::None`].
    RaceWith(NewCommit),
}

/// The source of an injected `Unavailable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fault was injected")]
pub struct InjectedFault;

/// Wraps a log and injects faults into its calls, as planned.
#[derive(Debug)]
pub struct FaultyLog<L> {
    inner: L,
    plan: Mutex<Plan>,
}

#[derive(Debug)]
struct Plan {
    /// Faults for the next appends, one each. After them `always` applies.
    appends: VecDeque<Fault>,
    /// Faults for the next reads of any kind, one each. After them `always` applies.
    reads: VecDeque<Fault>,
    always: Seeded,
    calls: u64,
    injected: u64,
}

/// Pseudo-random faults: about `rate` of 256 calls get one.
#[derive(Debug, Clone, Copy)]
struct Seeded {
    seed: u64,
    rate: u8,
}

impl<L> FaultyLog<L> {
    /// The next appends get `appends`, one each in order. Later appends and all reads go through.
    pub fn scripted(inner: L, appends: impl IntoIterator<Item = Fault>) -> Self {
        Self::planned(inner, appends.into_iter().collect(), Seeded { seed: 0, rate: 0 })
    }

    /// About `rate` of 256 calls get a fault. The same seed and the same calls give the same faults: print the seed to
    /// reproduce a failure.
    pub fn seeded(inner: L, seed: u64, rate: u8) -> Self {
        Self::planned(inner, VecDeque::new(), Seeded { seed, rate })
    }

    fn planned(inner: L, appends: VecDeque<Fault>, always: Seeded) -> Self {
        let plan = Plan { appends, reads: VecDeque::new(), always, calls: 0, injected: 0 };
        Self { inner, plan: Mutex::new(plan) }
    }

    /// Plans faults for the next appends that have none yet.
    pub fn plan_appends(&self, faults: impl IntoIterator<Item = Fault>) {
        self.plan().appends.extend(faults);
    }

    /// Plans faults for the next reads (`head`, `read` or `scan`) that have none yet.
    pub fn plan_reads(&self, faults: impl IntoIterator<Item = Fault>) {
        self.plan().reads.extend(faults);
    }

    /// The number of faults injected so far. Check it: a test that met no fault proves nothing.
    pub fn injected(&self) -> u64 {
        self.plan().injected
    }

    /// The wrapped log, without faults.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_fault(&self) -> Result<(), ReadError> {
        let mut plan = self.plan();
        let scripted = plan.reads.pop_front();
        match plan.next(scripted, |_| Fault::Before) {
            (Fault::Before | Fault::After, _) => Err(ReadError::Unavailable(InjectedFault.into())),
            _ => Ok(()),
        }
    }
}

impl Plan {
    /// Returns the fault of this call and the number of the call.
    fn next(&mut self, scripted: Option<Fault>, choose: impl Fn(u8) -> Fault) -> (Fault, u64) {
        self.calls += 1;
        let fault = scripted.unwrap_or_else(|| {
            let mut hasher = Sha256::new();
            hasher.update(self.always.seed.to_be_bytes());
            hasher.update(self.calls.to_be_bytes());
            let random = hasher.finalize();
            if random[0] < self.always.rate { choose(random[1] % 4) } else { Fault::None }
        });
        if fault != Fault::None {
            self.injected += 1;
        }
        (fault, self.calls)
    }
}

#[async_trait]
impl<L: EventLog> EventLog for FaultyLog<L> {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        let (fault, call) = {
            let mut plan = self.plan();
            let scripted = plan.appends.pop_front();
            plan.next(scripted, |chosen| match chosen {
                0 => Fault::Before,
                1 | 2 => Fault::After,
                _ => Fault::Race,
            })
        };
        let unavailable = || AppendError::Unavailable(InjectedFault.into());
        let rival = match fault {
            Fault::None => None,
            Fault::Before => return Err(unavailable()),
            Fault::After => {
                // A conflict or a refusal is lost like any other response.
                let _ = self.inner.append(stream, expected, commit).await;
                return Err(unavailable());
            }
            Fault::Race => Some(rival_commit(&commit, call)),
            Fault::RaceWith(rival) => Some(rival),
        };
        if let Some(rival) = rival {
            self.inner.append(stream, Expected::Any, rival).await?;
        }
        self.inner.append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.read_fault()?;
        self.inner.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.read_fault()?;
        self.inner.read(stream, from, limit).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.read_fault()?;
        self.inner.scan(part, after, limit).await
    }
}

fn rival_commit(commit: &NewCommit, call: u64) -> NewCommit {
    let event = RecordedEvent {
        kind: "test.raced".to_owned(),
        version: 1,
        at: commit.recorded_at,
        data: json!({ "call": call }),
        fact: None,
    };
    let id = CommitId::derived_from(&["test.raced", commit.id.as_str(), &call.to_string()]);
    NewCommit { id, events: vec![event], recorded_at: commit.recorded_at }
}
