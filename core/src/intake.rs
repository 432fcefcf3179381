//! Moves facts from a queue or stream into the log, each once.
//!
//! A fact is delivered at least once, and after an outage many facts of one stream arrive together. Each append costs one write,
//! so facts are merged into as few commits as possible: a single fact becomes a commit with the fact's own id; several become one
//! commit whose events name their facts ([`RecordedEvent::fact`]). The id and the events of a merged commit are derived from its
//! facts.
//!
//! A fact is in the log if its id is the id of a commit, or of a merged fact, of its stream. The log checks only the ids of commits,
//! so the append is conditional on the version up to which the stream was read. Every process that records facts does it this way:
//! an append with [`Expected::Any`] could repeat a fact that has just been merged. The one exception is a worker whose intake is
//! unavailable: its progress may be recorded twice, which changes nothing.
//!
//! A fact is recorded with the time at which it arrives here, so that past states and past usage never change. The time at which
//! it happened is in its events.
//!
//! The ids of recently used streams are cached. A stream only grows, so cached ids are never wrong, only incomplete, and the
//! conditional append detects that.
//!
//! # Cost
//!
//! A batch of facts of one stream costs one append, and at most one read, of what the process does not know of the stream. It reads a stream
//! before its first append, and before every append once another process has appended to it: a read costs less than an append
//! that is refused. Both are independent of the volume, because playback grants are in streams of ten seconds ([`StreamId::grants`]):
//! the ids that the cache needs are those of the latest seconds, and the whole of a stream that left the cache is short. Only the
//! streams of an hour, which earlier versions made, are long.

mod stream_cache;

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

use self::stream_cache::{CachedStream, StreamCache};
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
pub enum FactOutcome {
    /// Its events were appended.
    Appended,
    /// Its events were in the log before, or it is repeated in this call.
    Duplicate,
}

/// The result for facts of one stream: the first `outcomes.len()` facts are in the log, and the next one failed with `failure`.
#[derive(Debug)]
pub struct RecordedFacts {
    /// One result per fact, from the first one on.
    pub outcomes: Vec<FactOutcome>,
    /// Why the next fact failed; `None` if all are in the log.
    pub failure: Option<RecordFactsError>,
}

/// Why a fact was not recorded. It may be in the log; recording it again is harmless.
#[derive(Debug, thiserror::Error)]
pub enum RecordFactsError {
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

impl Retryable for RecordFactsError {
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
    streams: StreamCache,
}

impl Intake {
    /// Returns the intake of `log`, with an empty cache.
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, streams: StreamCache::default() }
    }

    /// Records facts of `stream` at `now`, in their order. Concurrent calls for one stream wait for each other.
    pub async fn record_facts(
        &self,
        stream: &StreamId,
        facts: &[&NewCommit],
        now: Timestamp,
    ) -> RecordedFacts {
        let mut outcomes = Vec::with_capacity(facts.len());
        let cached = self.streams.get(stream);
        let mut cached = cached.lock().await;
        let failure = self.append_all(stream, facts, now, &mut cached, &mut outcomes).await.err();
        self.streams.set_weight(stream, cached.weight());
        RecordedFacts { outcomes, failure }
    }

    /// Appends `facts` and adds the outcome of each fact that is in the log to `outcomes`.
    async fn append_all(
        &self,
        stream: &StreamId,
        facts: &[&NewCommit],
        now: Timestamp,
        cached: &mut CachedStream,
        outcomes: &mut Vec<FactOutcome>,
    ) -> Result<(), RecordFactsError> {
        // A stream of its own is new, unless the fact is delivered again: the append finds out without a read.
        let is_probably_new = cached.version() == 0 && matches!(stream, StreamId::KeyedGrant { .. });
        if cached.must_be_read() && !is_probably_new {
            self.read_new_commits(stream, cached).await?;
        }
        let (mut max_bytes, mut conflicts) = (MAX_COMMIT_BYTES, 0);
        loop {
            let remaining = &facts[outcomes.len()..];
            let duplicates = remaining.iter().take_while(|fact| cached.contains(&fact.id)).count();
            outcomes.extend(repeat_n(FactOutcome::Duplicate, duplicates));
            let remaining = &remaining[duplicates..];
            if remaining.is_empty() {
                return Ok(());
            }
            let (new, merged_outcomes) = select_facts(remaining, cached, max_bytes);
            // Times never decrease in a stream, even if clocks differ.
            let commit = NewCommit { recorded_at: now.max(cached.recorded_at()), ..merge(stream, &new) };
            match self.log.append(stream, Expected::Exactly(cached.version()), commit).await {
                Ok(appended) if !appended.repeated => {
                    cached.add(&appended.commit);
                    cached.set_complete();
                    outcomes.extend(merged_outcomes);
                }
                // A response was lost, here or in an earlier delivery. The same id means the same facts.
                Ok(_) => {
                    self.read_new_commits(stream, cached).await?;
                    outcomes.extend(repeat_n(FactOutcome::Duplicate, merged_outcomes.len()));
                }
                Err(AppendError::Conflict { .. }) if conflicts == MAX_CONFLICTS => {
                    return Err(RecordFactsError::Contended(stream.clone()));
                }
                Err(AppendError::Conflict { .. }) => {
                    conflicts += 1;
                    cached.set_shared();
                    self.read_new_commits(stream, cached).await?;
                }
                // Merged facts may be too large although each is not: sizes are estimates, and canonical form may be longer.
                Err(AppendError::Invalid { .. }) if new.len() > 1 => max_bytes /= 2,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Adds the commits after the cached version to the cached stream.
    async fn read_new_commits(&self, stream: &StreamId, cached: &mut CachedStream) -> Result<(), ReadError> {
        let mut next = Some(cached.version() + 1);
        while let Some(version) = next {
            let page = self.log.read(stream, version, PAGE).await?;
            page.commits.iter().for_each(|commit| cached.add(commit));
            next = page.next;
        }
        cached.set_complete();
        Ok(())
    }
}

/// Returns the first new facts that fit into a commit of `max_bytes`, at least one, and the outcomes of all facts up to the last
/// of these.
fn select_facts<'a>(
    facts: &[&'a NewCommit],
    cached: &CachedStream,
    max_bytes: usize,
) -> (Vec<&'a NewCommit>, Vec<FactOutcome>) {
    let mut new: Vec<&NewCommit> = Vec::new();
    let mut outcomes = Vec::new();
    let mut ids: HashSet<&CommitId> = HashSet::new();
    let mut bytes = 0;
    for fact in facts {
        if cached.contains(&fact.id) || ids.contains(&fact.id) {
            outcomes.push(FactOutcome::Duplicate);
            continue;
        }
        if facts.len() > 1 {
            bytes += size(&fact.events);
        }
        if bytes > max_bytes && !new.is_empty() {
            break;
        }
        ids.insert(&fact.id);
        new.push(fact);
        outcomes.push(FactOutcome::Appended);
    }
    (new, outcomes)
}

/// Returns the approximate size of events in a merged commit, in bytes.
fn size(events: &[RecordedEvent]) -> usize {
    let bytes = |event| serde_json::to_vec(event).map_or(0, |json| json.len());
    events.iter().map(|event| bytes(event) + FACT_BYTES).sum()
}

/// Returns the commit of `facts`. A single fact is returned unchanged.
fn merge(stream: &StreamId, facts: &[&NewCommit]) -> NewCommit {
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
pub async fn record_batch(
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
    type Error = RecordFactsError;

    fn stream(&self, fact: &Fact) -> StreamId {
        fact.stream().clone()
    }

    async fn handle(&self, stream: &StreamId, facts: &[&Fact]) -> Progress<RecordFactsError> {
        let commits: Vec<&NewCommit> = facts.iter().map(|fact| fact.commit()).collect();
        let RecordedFacts { outcomes, failure } = self.intake.record_facts(stream, &commits, self.now).await;
        Progress { handled: outcomes.len(), failure }
    }

    async fn quarantine(&self, stream: &StreamId, _: &Fact, error: &RecordFactsError) {
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
