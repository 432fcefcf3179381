//! Writers and sweeps that run step by step: a step is one call of the log, of the pending replications, or of the edge's store.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::task::noop_waker_ref;
use streamio_events::api_key::{ApiKey, KeyHash};
use streamio_events::commit::{Head, NewCommit};
use streamio_events::event::{
    EventBody, KeyCreated, ProjectCreated, ProjectResumed, ProjectSuspended, Scope,
};
use streamio_events::id::CommitId;
use streamio_events::log::{AppendError, Appended, Expected, LogPage, Part, StreamPage};
use streamio_events::memory::MemoryLog;

use super::super::*;
use crate::ports::pending_replications::PendingReplication;
use crate::testing::MemoryPending;

/// The time-out of a function, after which a process has ended.
pub(super) const TIMEOUT: Duration = Duration::from_mins(15);

/// How long a request may take to take effect.
const IN_FLIGHT: Duration = Duration::from_mins(1);

/// More steps than a process makes.
pub(super) const MAX_STEPS: usize = 1000;

/// What happens in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeds,
    /// An error, without an effect.
    Fails,
    /// An effect, and then an error.
    LosesResponse,
    /// An error, and if the call writes to the edge's store, an effect later.
    TakesEffectLater,
}

/// The records of a write, pairs of name and value.
type Records = Vec<(String, String)>;

/// A project, and what processes share.
pub(super) struct World {
    pub(super) log: MemoryLog,
    pub(super) pending: MemoryPending,
    kv: Mutex<BTreeMap<String, String>>,
    /// Writes that have not yet taken effect, with the times at which they have at the latest.
    in_flight: Mutex<Vec<(Timestamp, Records)>>,
    now: Mutex<Timestamp>,
}

pub(super) fn project_id() -> ProjectId {
    "acme".parse().unwrap()
}

fn stream_id() -> StreamId {
    StreamId::Project(project_id())
}

impl World {
    /// A project with a key, whose creation is not yet replicated.
    pub(super) fn new() -> Arc<Self> {
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        let world = Arc::new(Self {
            log: MemoryLog::new(),
            pending: MemoryPending::default(),
            kv: Mutex::default(),
            in_flight: Mutex::default(),
            now: Mutex::new(start),
        });
        let key_hash = ApiKey::generate("live", [1; 32]).unwrap().hash();
        let key_id = key_hash.key_id();
        let key = KeyCreated { key_id, key_hash, scopes: vec![Scope::Read], label: None, expires_at: None };
        world.append_events(vec![ProjectCreated { name: None }.into(), key.into()]);
        world
    }

    fn append_events(&self, events: Vec<EventBody>) {
        let id = CommitId::derived_from(&[&self.version().to_string()]);
        let commit = NewCommit::new(id, self.now(), events);
        self.log.append(&stream_id(), Expected::Any, commit).now_or_never().unwrap().unwrap();
    }

    /// Suspends or resumes the project, which changes the records of all its keys.
    pub(super) fn append(&self) {
        let is_suspended = self.version().is_multiple_of(2);
        self.append_events(vec![if is_suspended {
            ProjectSuspended { reason: None }.into()
        } else {
            ProjectResumed {}.into()
        }]);
    }

    pub(super) fn version(&self) -> u64 {
        self.log.head(&stream_id()).now_or_never().unwrap().unwrap().version
    }

    pub(super) fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    /// Whether the edge's store has the records of the newest version.
    pub(super) fn is_newest_at_edge(&self) -> bool {
        let commits = self.log.read_to_end(&stream_id(), 1).now_or_never().unwrap().unwrap();
        let project = Project::fold(project_id(), &commits).unwrap();
        let records =
            tenants_of(&project).map(|(hash, tenant)| (Tenant::stored_name(&hash), tenant.to_stored()));
        records.collect::<BTreeMap<_, _>>() == *self.kv.lock().unwrap()
    }

    /// Lets time pass. What is in flight for too long takes effect.
    pub(super) fn pass(&self, time: Duration) {
        let now = self.now().plus(time);
        *self.now.lock().unwrap() = now;
        let mut in_flight = self.in_flight.lock().unwrap();
        for (_, records) in in_flight.extract_if(.., |(at, _)| *at <= now) {
            self.kv.lock().unwrap().extend(records);
        }
    }

    /// Lets a write that is in flight take effect, if there is one.
    pub(super) fn take_effect(&self, place: usize) {
        let mut in_flight = self.in_flight.lock().unwrap();
        if !in_flight.is_empty() {
            let place = place % in_flight.len();
            self.kv.lock().unwrap().extend(in_flight.remove(place).1);
        }
    }

    /// Starts a process that replicates the project.
    pub(super) fn writer(self: &Arc<Self>) -> Process<Result<(), ReplicationError>> {
        let now = self.now();
        self.start(move |calls| Box::pin(async move { replicate(calls.ports(), &project_id(), now).await }))
    }

    /// Starts a sweep.
    pub(super) fn sweep(self: &Arc<Self>) -> Process<Result<PendingReport, PendingReplicationError>> {
        self.start(|calls| {
            Box::pin(async move {
                let clock = || calls.world.now();
                replicate_pending(calls.ports(), &clock, 100, Duration::MAX).await
            })
        })
    }

    fn start<T>(self: &Arc<Self>, run: impl FnOnce(Arc<Calls>) -> Running<T>) -> Process<T> {
        let calls = Arc::new(Calls { world: Arc::clone(self), next: Mutex::new(None) });
        Process { running: run(Arc::clone(&calls)), calls, begun_at: self.now(), begun_with: self.version() }
    }
}

type Running<T> = Pin<Box<dyn Future<Output = T>>>;

/// A process, which ends when it is dropped.
pub(super) struct Process<T> {
    running: Running<T>,
    calls: Arc<Calls>,
    pub(super) begun_at: Timestamp,
    /// The version of the project when it began.
    pub(super) begun_with: u64,
}

impl<T> Process<T> {
    /// Makes a step, which includes what follows until the next call. Returns the result of a process that returns.
    pub(super) fn step(&mut self, outcome: Outcome) -> Option<T> {
        *self.calls.next.lock().unwrap() = Some(outcome);
        match self.running.as_mut().poll(&mut Context::from_waker(noop_waker_ref())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    /// Makes steps that succeed.
    pub(super) fn steps(&mut self, count: usize) {
        for _ in 0..count {
            assert!(self.step(Outcome::Succeeds).is_none(), "the process has returned");
        }
    }

    /// Runs the process to its end.
    pub(super) fn finish(mut self) -> T {
        (0..MAX_STEPS).find_map(|_| self.step(Outcome::Succeeds)).expect("the process returns")
    }
}

/// The ports of a process.
struct Calls {
    world: Arc<World>,
    /// The outcome of the next step, if it may be made.
    next: Mutex<Option<Outcome>>,
}

impl Calls {
    fn ports(&self) -> Ports<'_> {
        Ports { log: self, tenants: self, kv: self, pending: self }
    }

    async fn outcome(&self) -> Outcome {
        poll_fn(|_| match self.next.lock().unwrap().take() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        })
        .await
    }

    /// A step whose effect is `call`.
    async fn step<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>> + Send,
        error: impl FnOnce() -> E + Send,
    ) -> Result<T, E> {
        match self.outcome().await {
            Outcome::Succeeds => call.await,
            Outcome::LosesResponse => {
                call.await?;
                Err(error())
            }
            Outcome::Fails | Outcome::TakesEffectLater => Err(error()),
        }
    }
}

#[async_trait]
impl EventLog for Calls {
    async fn append(&self, _: &StreamId, _: Expected, _: NewCommit) -> Result<Appended, AppendError> {
        unreachable!("a replication appends nothing")
    }

    async fn head(&self, _: &StreamId) -> Result<Head, ReadError> {
        unreachable!("a replication reads commits")
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        let read = self.world.log.read(stream, from, limit);
        self.step(read, || ReadError::Unavailable("throttled".into())).await
    }

    async fn scan(&self, _: Part, _: Option<&str>, _: usize) -> Result<LogPage, ReadError> {
        unreachable!("a replication reads one stream")
    }
}

/// Always works: it has conditional writes.
#[async_trait]
impl TenantStore for Calls {
    async fn get(&self, _: &KeyHash) -> Result<Option<Tenant>, TenantStoreError> {
        Ok(None)
    }

    async fn put(&self, _: &KeyHash, _: &Tenant) -> Result<bool, TenantStoreError> {
        Ok(true)
    }
}

#[async_trait]
impl KvNamespace for Calls {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        let outcome = self.outcome().await;
        let world = &self.world;
        match outcome {
            Outcome::Succeeds | Outcome::LosesResponse => world.kv.lock().unwrap().extend(records),
            Outcome::Fails => {}
            Outcome::TakesEffectLater => {
                world.in_flight.lock().unwrap().push((world.now().plus(IN_FLIGHT), records));
            }
        }
        if outcome == Outcome::Succeeds { Ok(()) } else { Err(KvNamespaceError("no response".into())) }
    }
}

fn unavailable() -> PendingReplicationError {
    PendingReplicationError("unavailable".into())
}

#[async_trait]
impl PendingReplications for Calls {
    async fn add(
        &self,
        project_id: &ProjectId,
        due_at: Timestamp,
    ) -> Result<PendingId, PendingReplicationError> {
        self.step(self.world.pending.add(project_id, due_at), unavailable).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingReplication>, PendingReplicationError> {
        self.step(self.world.pending.due(now, limit), unavailable).await
    }

    async fn remove(&self, id: &PendingId) -> Result<(), PendingReplicationError> {
        self.step(self.world.pending.remove(id), unavailable).await
    }
}
