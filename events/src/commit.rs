//! Commits: atomic appends of one or more events, chained by hash.

use std::fmt;
use std::iter;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::canonical::canonical_events;
use crate::event::{EventBody, RecordedEvent};
use crate::id::CommitId;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// Maximum size of a commit's events as canonical JSON, in bytes. A DynamoDB item may have 400 KB.
pub const MAX_COMMIT_BYTES: usize = 350 * 1024;

/// A commit to append.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCommit {
    /// Derived from the cause, so that a retry has the same id and finds its own commit.
    pub id: CommitId,
    /// One or more events.
    pub events: Vec<RecordedEvent>,
    /// When it was recorded, by the appender's clock.
    pub recorded_at: Timestamp,
}

impl NewCommit {
    /// A commit of `bodies`, all of which happened at `at`. It is recorded at the same time.
    pub fn new(id: CommitId, at: Timestamp, bodies: impl IntoIterator<Item = EventBody>) -> Self {
        let events = bodies.into_iter().map(|body| RecordedEvent::new(at, &body)).collect();
        Self { id, events, recorded_at: at }
    }
}

/// An appended commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// The stream.
    pub stream: StreamId,
    /// The version of the first event: a stream's first event has version 1.
    pub first: u64,
    /// Derived from the cause.
    #[serde(rename = "commitId")]
    pub id: CommitId,
    /// The events, whose versions are `first`, `first + 1`, ….
    pub events: Vec<RecordedEvent>,
    /// When it was recorded, by the appender's clock.
    pub recorded_at: Timestamp,
    /// The hash of the stream's previous commit; [`CommitHash::GENESIS`] for the first.
    pub prev_hash: CommitHash,
    /// [`Self::computed_hash`] at the time of the append.
    pub hash: CommitHash,
}

impl Commit {
    /// Returns the commit that results from appending `new` to `stream` after `head`.
    pub fn following(stream: StreamId, head: Head, new: NewCommit) -> Self {
        let events = canonical_events(&new.events);
        Self::of_encoded(stream, head, new, &events)
    }

    /// [`Self::following`], with the events as canonical JSON.
    pub(crate) fn of_encoded(stream: StreamId, head: Head, new: NewCommit, events: &[u8]) -> Self {
        let mut commit = Self {
            stream,
            first: head.version + 1,
            id: new.id,
            events: new.events,
            recorded_at: new.recorded_at,
            prev_hash: head.hash,
            hash: CommitHash::GENESIS,
        };
        commit.hash = commit.hash_of(events);
        commit
    }

    /// The version of the last event.
    pub fn last(&self) -> u64 {
        self.first + self.events.len() as u64 - 1
    }

    /// The stream's head after this commit.
    pub fn head(&self) -> Head {
        Head { version: self.last(), hash: self.hash }
    }

    /// The events with their versions.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &RecordedEvent)> {
        (self.first..).zip(&self.events)
    }

    /// The ids by which the commit can be found: its own, and those of the facts that were merged into it, each once
    /// (the events of one fact are adjacent).
    pub fn ids(&self) -> impl Iterator<Item = &CommitId> {
        let mut before = None;
        let facts = self.events.iter().filter_map(move |event| {
            let fact = event.fact.as_ref();
            let is_next = fact != before;
            before = fact;
            fact.filter(|_| is_next)
        });
        iter::once(&self.id).chain(facts)
    }

    /// The events recorded for the cause with this id, with their versions: all events for the commit's own id, one
    /// fact's events for a merged fact's id, none for any other id.
    pub fn events_of(&self, id: &CommitId) -> impl Iterator<Item = (u64, &RecordedEvent)> {
        self.numbered().filter(move |(_, event)| *id == self.id || event.fact.as_ref() == Some(id))
    }

    /// SHA-256 of the previous hash and the canonical JSON (RFC 8785) of everything else in the commit.
    pub fn computed_hash(&self) -> CommitHash {
        self.hash_of(&canonical_events(&self.events))
    }

    fn hash_of(&self, events: &[u8]) -> CommitHash {
        let place = (&*self.stream.to_string(), self.first);
        let (id, recorded_at) = (self.id.as_str(), self.recorded_at.to_string());
        stored_hash(&self.prev_hash, place, id, &recorded_at, events)
    }
}

/// The hash of a commit whose `events` are in the form in which adapters store them: canonical JSON. `place` is the stream and the first
/// version.
pub(crate) fn stored_hash(
    prev_hash: &CommitHash,
    (stream, first): (&str, u64),
    commit_id: &str,
    recorded_at: &str,
    events: &[u8],
) -> CommitHash {
    // Canonical JSON has the members in the order of their names.
    let mut json = Vec::with_capacity(events.len() + 256);
    let text = |json: &mut Vec<u8>, name: &[u8], text: &str| {
        json.extend_from_slice(name);
        // Writing to memory does not fail. JSON of a text is canonical.
        let _ = serde_json::to_writer(json, text);
    };
    text(&mut json, br#"{"commitId":"#, commit_id);
    json.extend_from_slice(br#","events":"#);
    json.extend_from_slice(events);
    json.extend_from_slice(br#","first":"#);
    json.extend_from_slice(first.to_string().as_bytes());
    text(&mut json, br#","recordedAt":"#, recorded_at);
    text(&mut json, br#","stream":"#, stream);
    json.push(b'}');
    let mut sha256 = Sha256::new();
    sha256.update(prev_hash.0);
    sha256.update(&json);
    CommitHash(sha256.finalize().into())
}

/// Canonical JSON (RFC 8785) of plain data.
pub(crate) fn canonical_json(value: &impl Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("events are plain data with text keys")
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The version of the last event; 0 for a stream without events.
    pub version: u64,
    /// The hash of the last commit.
    pub hash: CommitHash,
}

impl Head {
    /// The head of a stream without events.
    pub const EMPTY: Self = Self { version: 0, hash: CommitHash::GENESIS };
}

/// A SHA-256 in a stream's hash chain. Its text form is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitHash([u8; 32]);

impl CommitHash {
    /// The previous hash of a stream's first commit.
    pub const GENESIS: Self = Self([0; 32]);

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the hash with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for CommitHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for CommitHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CommitHash({self})")
    }
}

impl Serialize for CommitHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CommitHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = base16ct::lower::decode_vec(&text).map_err(de::Error::custom)?;
        Ok(Self(bytes.try_into().map_err(|_| de::Error::custom("a SHA-256 has 64 hexadecimal digits"))?))
    }
}
