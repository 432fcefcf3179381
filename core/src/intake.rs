//! Moves facts from a queue or stream into the log, each once.
//!
//! A fact is delivered at least once, and after an outage many facts of one stream arrive together. Each append costs one write,
//! so facts are merged into as few commits as possible: a single fact becomes a commit with the fact's own id; several become one
//! commit whose events name their facts ([`RecordedEvent::fact`]). The id and the events of a merged commit are derived from its
//! facts.
//!
//! A fact is known if its id is the id of a commit, or of a merged fact, of its stream. The log checks only the ids of commits,
//! so the append is conditional on the version up to which the stream was read. Every process that records facts does it this way:
//! an append with [`Expected::Any`] could repeat a fact that has just been merged. The one exception is a worker whose intake is
//! unavailable: its progress may be recorded twice, which changes nothing.
//!
//! A fact is recorded with the time at which it arrives here, so that past states and past usage never change. The time at which
//! it happened is in its events.
//!
//! The ids of recently used streams are cached. A stream only grows, so cached ids are never wrong, only incomplete, and the
//! conditional append detects that.

mod memory;

use std::collections::HashSet;
use std::iter::repeat_n;
use std::sync::Arc;

use async_trait::async_trait;
use streamio_events::commit::{MAX_COMMIT_BYTES, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::id::CommitId;
use streamio_events::log::{AppendError, EventLog, Expected, ReadError};
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use self::memory::{Known, Memory};
use crate::delivery::batch::{Batch, Handler, Progress, Record, Report};
use crate::delivery::quarantine;

/// The maximum number of append conflicts in one call. At each conflict another process has appended successfully.
const MAX_CONFLICTS: u32 = 32;

/// How many commits are read at a time.
const PAGE: usize = 256;

/// The additional bytes of a merged event: `,"fact":"cmt_…"`.
const FACT_BYTES: usize = 48;

/// The result for one fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Its events were appended.
    New,
    /// Its events were in the log before, or it is repeated in this call.
    Known,
}

/// The result for facts of one stream: the first `taken.len()` facts are in the log, and the next one failed with `failure`.
#[derive(Debug)]
pub struct TakenIn {
    /// One result per fact, from the first one on.
    pub taken: Vec<Taken>,
    /// Why the next fact failed; `None` if all are in the log.
    pub failure: Option<TakeInError>,
}

/// Why a fact was not recorded. It may be in the log; recording it again is harmless.
#[derive(Debug, thiserror::Error)]
pub enum TakeInError {
    /// The append failed.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The stream cannot be read.
    #[error("the stream's facts cannot be read")]
    Read(#[from] ReadError),
    /// Other processes appended on every attempt.
    #[error("stream {0} changed on every attempt")]
    Contended(StreamId),
}

impl Retryable for TakeInError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Append(error) => error.is_retryable(),
            Self::Read(error) => error.is_retryable(),
            Self::Contended(_) => true,
        }
    }
}

/// Records facts in a log.
pub struct Intake {
    log: Arc<dyn EventLog>,
    memory: Memory,
}

impl Intake {
    /// Creates the intake of `log`, with an empty cache.
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, memory: Memory::default() }
    }

    /// Records facts of `stream` at `now`, in their order. Concurrent calls for one stream wait for each other.
    pub async fn take_in(&self, stream: &StreamId, facts: &[&NewCommit], now: Timestamp) -> TakenIn {
        let mut taken = Vec::with_capacity(facts.len());
        let known = self.memory.of(stream);
        let mut known = known.lock().await;
        let failure = self.take_in_order(stream, facts, now, &mut known, &mut taken).await.err();
        self.memory.weigh(stream, known.weight());
        TakenIn { taken, failure }
    }

    async fn take_in_order(
        &self,
        stream: &StreamId,
        facts: &[&NewCommit],
        now: Timestamp,
        known: &mut Known,
        taken: &mut Vec<Taken>,
    ) -> Result<(), TakeInError> {
        if !known.is_read() {
            self.catch_up(stream, known).await?;
        }
        let (mut room, mut conflicts) = (MAX_COMMIT_BYTES, 0);
        loop {
            let rest = &facts[taken.len()..];
            let repeated = rest.iter().take_while(|fact| known.has(&fact.id)).count();
            taken.extend(repeat_n(Taken::Known, repeated));
            let rest = &rest[repeated..];
            if rest.is_empty() {
                return Ok(());
            }
            let (new, outcomes) = first_commit(rest, known, room);
            // Times never decrease in a stream, also if clocks differ.
            let commit = NewCommit { recorded_at: now.max(known.recorded_at()), ..merged(stream, &new) };
            match self.log.append(stream, Expected::Exactly(known.version()), commit).await {
                Ok(appended) if !appended.repeated => {
                    known.learn(&appended.commit);
                    taken.extend(outcomes);
                }
                // A response was lost, here or in an earlier delivery. The same id means the same facts.
                Ok(_) => {
                    self.catch_up(stream, known).await?;
                    taken.extend(repeat_n(Taken::Known, outcomes.len()));
                }
                Err(AppendError::Conflict { .. }) if conflicts == MAX_CONFLICTS => {
                    return Err(TakeInError::Contended(stream.clone()));
                }
                Err(AppendError::Conflict { .. }) => {
                    conflicts += 1;
                    self.catch_up(stream, known).await?;
                }
                // Merged facts may be too large although each is not: sizes are estimates, and canonical form may be longer.
                Err(AppendError::Invalid { .. }) if new.len() > 1 => room /= 2,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn catch_up(&self, stream: &StreamId, known: &mut Known) -> Result<(), ReadError> {
        let mut next = Some(known.version() + 1);
        while let Some(version) = next {
            let page = self.log.read(stream, version, PAGE).await?;
            page.commits.iter().for_each(|commit| known.learn(commit));
            next = page.next;
        }
        known.set_read();
        Ok(())
    }
}

/// Returns the first unknown facts that fit into a commit of `room` bytes, at least one, and the results of all facts up to the
/// last of these.
fn first_commit<'a>(facts: &[&'a NewCommit], known: &Known, room: usize) -> (Vec<&'a NewCommit>, Vec<Taken>) {
    let mut new: Vec<&NewCommit> = Vec::new();
    let mut outcomes = Vec::new();
    let mut ids: HashSet<&CommitId> = HashSet::new();
    let mut bytes = 0;
    for fact in facts {
        if known.has(&fact.id) || ids.contains(&fact.id) {
            outcomes.push(Taken::Known);
            continue;
        }
        if facts.len() > 1 {
            bytes += size(&fact.events);
        }
        if bytes > room && !new.is_empty() {
            break;
        }
        ids.insert(&fact.id);
        new.push(fact);
        outcomes.push(Taken::New);
    }
    (new, outcomes)
}

/// Returns the approximate size of events in a merged commit, in bytes.
fn size(events: &[RecordedEvent]) -> usize {
    let bytes = |event| serde_json::to_vec(event).map_or(0, |json| json.len());
    events.iter().map(|event| bytes(event) + FACT_BYTES).sum()
}

/// Returns the commit of `facts`. A single fact is returned unchanged.
fn merged(stream: &StreamId, facts: &[&NewCommit]) -> NewCommit {
    if let [fact] = facts {
        return (*fact).clone();
    }
    let stream = stream.to_string();
    let cause: Vec<&str> =
        ["merged", &stream].into_iter().chain(facts.iter().map(|fact| fact.id.as_str())).collect();
    let events = facts.iter().flat_map(|fact| {
        let stated = |event: &RecordedEvent| RecordedEvent { fact: Some(fact.id.clone()), ..event.clone() };
        fact.events.iter().map(stated)
    });
    NewCommit {
        id: CommitId::derived_from(&cause),
        events: events.collect(),
        recorded_at: facts.iter().map(|fact| fact.recorded_at).max().unwrap_or_default(),
    }
}

/// Records the facts of a batch.
pub async fn take_in_batch(
    batch: Batch<'_>,
    intake: &Intake,
    records: &[Record<Fact>],
    now: Timestamp,
) -> Report {
    batch.run(records, &Facts { intake, now }, now).await
}

struct Facts<'a> {
    intake: &'a Intake,
    now: Timestamp,
}

#[async_trait]
impl Handler for Facts<'_> {
    type Item = Fact;
    type Error = TakeInError;

    fn stream(&self, fact: &Fact) -> StreamId {
        fact.stream().clone()
    }

    async fn handle(&self, stream: &StreamId, facts: &[&Fact]) -> Progress<TakeInError> {
        let commits: Vec<&NewCommit> = facts.iter().map(|fact| fact.commit()).collect();
        let TakenIn { taken, failure } = self.intake.take_in(stream, &commits, self.now).await;
        Progress { handled: taken.len(), failure }
    }

    async fn quarantine(&self, stream: &StreamId, _: &Fact, error: &TakeInError) {
        let version = match self.intake.log.head(stream).await {
            Ok(head) => head.version + 1,
            Err(error) => {
                tracing::error!(stream = %stream, error = %error, "a stream that is to be quarantined cannot be read");
                return;
            }
        };
        quarantine::report(&*self.intake.log, self.now, stream, version, error).await;
    }
}
