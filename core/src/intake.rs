//! Takes facts off the road and into the log, each once.
//!
//! The road brings a fact at least once, and after an outage many facts of one stream together. They are put into as few
//! commits as hold them, because an append costs by the commit: a fact that comes alone is a commit with the fact's own id;
//! several are one commit whose events each say which fact stated them ([`RecordedEvent::fact`]). The id of a merged commit
//! follows from its facts, and so do its events.
//!
//! A fact is known when its id is that of a commit or of a merged fact of its stream. The log itself knows only the ids of
//! commits, so what is appended here is a decision: it is made on what the stream holds up to some version, and appended only
//! if the stream is still at that version. Everybody who records facts does it in this way; somebody who appended with
//! [`Expected::Any`] could append a fact that has just been merged. A worker that is not heard does so all the same: its
//! progress may then be told twice, which says nothing new.
//!
//! A fact is recorded when it comes here, however long it was under way: what was known at a time that is past, and a
//! day's usage, do not change afterwards. When it happened, its events say.
//!
//! What a stream holds is remembered for as many streams as a bounded memory takes. A stream only grows, so what is
//! remembered is never wrong, only behind, and the log's conflict says so.

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

/// How many others may come first to a stream before the facts go back. Each time somebody else's append succeeded.
const MOST_CONFLICTS: u32 = 32;

/// How many commits are read at a time.
const PAGE: usize = 256;

/// What a merged event says more than its fact said: `,"fact":"cmt_…"`.
const FACT_BYTES: usize = 48;

/// What became of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Its events were appended.
    New,
    /// They were in the log before, or came twice in this delivery.
    Known,
}

/// What became of some facts of one stream: as many of them as `taken` has items are in the log, and the one after these
/// met `failure`.
#[derive(Debug)]
pub struct TakenIn {
    /// For each fact from the first one on.
    pub taken: Vec<Taken>,
    /// Why not all are; `None` when they are.
    pub failure: Option<TakeInError>,
}

/// Why a fact was not taken in. It may be in the log nevertheless; handing it over again does no harm.
#[derive(Debug, thiserror::Error)]
pub enum TakeInError {
    /// The append.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What the stream holds.
    #[error("the stream's facts cannot be read")]
    Read(#[from] ReadError),
    /// Others came first, again and again.
    #[error("stream {0} does not come to rest")]
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

/// Takes facts into a log.
pub struct Intake {
    log: Arc<dyn EventLog>,
    memory: Memory,
}

impl Intake {
    /// The intake of `log`, which remembers nothing yet.
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, memory: Memory::default() }
    }

    /// Takes in facts of `stream` at `now`, in their order. Those of one stream that come to one intake at the same time wait
    /// for each other.
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
            // What a stream tells is told in the order of its commits, also when clocks are not of one mind.
            let commit = NewCommit { recorded_at: now.max(known.recorded_at()), ..merged(stream, &new) };
            match self.log.append(stream, Expected::Exactly(known.version()), commit).await {
                Ok(appended) if !appended.repeated => {
                    known.learn(&appended.commit);
                    taken.extend(outcomes);
                }
                // An answer was lost, here or in an earlier delivery. The same id is the same facts.
                Ok(_) => {
                    self.catch_up(stream, known).await?;
                    taken.extend(repeat_n(Taken::Known, outcomes.len()));
                }
                Err(AppendError::Conflict { .. }) if conflicts == MOST_CONFLICTS => {
                    return Err(TakeInError::Contended(stream.clone()));
                }
                Err(AppendError::Conflict { .. }) => {
                    conflicts += 1;
                    self.catch_up(stream, known).await?;
                }
                // Together they may be too large where each is not: sizes are estimates, and canonical form may be longer.
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

/// The first of `facts` that make a commit of at most `room` bytes, at least one, without those that are known; and what
/// becomes of all facts up to the last of these.
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

/// About how many bytes events have in a merged commit.
fn size(events: &[RecordedEvent]) -> usize {
    let bytes = |event| serde_json::to_vec(event).map_or(0, |json| json.len());
    events.iter().map(|event| bytes(event) + FACT_BYTES).sum()
}

/// The commit that states `facts`: one alone as it is.
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

/// Takes in a batch of the road, by the rule for batches.
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
                tracing::error!(stream = %stream, error = %error, "a stream that is left behind cannot be read");
                return;
            }
        };
        quarantine::report(&*self.intake.log, self.now, stream, version, error).await;
    }
}
